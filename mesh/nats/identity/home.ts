// The identity folder of a mesh, `.parley/`: its keys, what verifiers must know, the server's part,
// and who was given credentials.
//
//   operator.nk  operator.jwt   who may make accounts
//   keys/*.nk                   system account, mesh account, one signing key per role
//   trust.json                  public keys per role, revocations: all that a verifier needs
//   nats-auth.conf              included by nats-server.conf; no secrets
//   accounts/                   where the server keeps the accounts that were pushed to it
//   server.conf                 for the servers that Parley starts itself
//   system.creds                pushes account changes into a running server
//   creds/<name>.creds          ordinary credentials, for Parley and the nats CLI
//   agents/<name>.<agent>.nk    keys of agents that joined beside the folder under a fixed name
//   identities/<name>.json      who they were given to; no secrets
export {
  defaultHomeDir,
  type Home,
  homeFiles,
  initHome,
  openHome,
  readTrust,
  systemCreds,
  writeMemberConfig,
  writeServerAuth,
  writeServerConfig,
} from "./folder.ts";
export {
  addIdentity,
  agentKey,
  type IssuedIdentity,
  listIdentities,
  type MintedUser,
  mintUser,
  type NewIdentity,
  readIdentity,
  renewIdentity,
} from "./identities.ts";
export { type Delivery, pushAccount, revokeIdentity, revokeKeys } from "./revoke.ts";
