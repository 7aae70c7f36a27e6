// Asking the server, and what a person is told when the answer is not what was asked for.
const SIGNED_OUT = "You are signed out: sign in again in another tab, then reload this page.";
// Of a line that was cut a browser would hear nothing for a quarter of an hour.
const LONGEST_MS = 30_000;

// The status is 0 when no answer came.
export function ask(address, options = {}) {
  return fetch(address, { ...options, signal: AbortSignal.timeout(LONGEST_MS) }).catch(() => Response.error());
}

// The API says what a program should send; a page leads to the one that signs in.
export const isSignedOut = (answer) => answer.status === 401 || answer.type === "opaqueredirect";

export async function wordsOf(answer) {
  if (isSignedOut(answer)) return SIGNED_OUT;
  const { title, detail } = await answer.json().catch(() => ({}));
  if (detail) return title ? `${title}: ${detail}` : detail;
  return answer.status ? `The server answered ${answer.status}.` : "Failed: the server does not answer.";
}
