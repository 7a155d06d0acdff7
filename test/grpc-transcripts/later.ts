/** Recorded scenes that do not run yet, and why; they are not among the fixtures. */
export const laterScenes: Readonly<Record<string, string>> = {
  "auth-enforced": "needs users and roles",
  "auth-jwt": "needs users and roles",
  "auth-setup": "needs users and roles",
};
