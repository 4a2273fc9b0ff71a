/** The distillation loss, its gradient, and the greedy choice. */
import type { Kernels, Raw } from './kernels.js';

/** Mean over all elements of (teacher - student)^2. */
export function meanSquaredError(k: Kernels, teacher: Raw, student: Raw): Raw {
  return k.tidy(() => k.meanAll(k.squaredDifference(teacher, student)));
}

/** 2 (student - teacher) / elements. */
export function meanSquaredErrorBackward(k: Kernels, teacher: Raw, student: Raw): Raw {
  return k.tidy(() => k.scale(k.sub(student, teacher), 2 / student.size));
}
