// What people may say of a task that a step or a trigger begins. JSON: people write it.
import { z } from "zod";
import { AddressSchema } from "./ids.ts";
import {
  ALTERNATIVES_MAX,
  ATTEMPTS_MAX,
  BACKOFF_MS_MAX,
  DEADLINE_MS_MAX,
  PRIORITY_MAX,
} from "./limits.ts";
import { AlternativeSchema, AwardSchema, RequirementsSchema } from "./spec.ts";

export const TaskTermsSchema = z.strictObject({
  retry: z
    .strictObject({
      attempts: z.int().min(1).max(ATTEMPTS_MAX).optional(),
      backoffMs: z.number().min(0).max(BACKOFF_MS_MAX).optional(),
    })
    .optional(),
  timeoutMs: z.number().positive().max(DEADLINE_MS_MAX).optional(),
  priority: z.int().min(0).max(PRIORITY_MAX).optional(),
  budget: z.number().nonnegative().optional(),
  requires: RequirementsSchema.optional(),
  award: AwardSchema.optional(),
  to: AddressSchema.optional(),
  otherwise: z.array(AlternativeSchema).max(ALTERNATIVES_MAX).optional(),
});
export type TaskTerms = z.infer<typeof TaskTermsSchema>;
