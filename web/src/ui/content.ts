// What a file's bytes are, by looking at them: never by its name, and never anything that a browser would run.

export type Content =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "image"; readonly url: string } // a data: URL
  | { readonly kind: "binary" };

// Pictures that are pixels only; SVG is a document.
const IMAGES: readonly (readonly [string, readonly number[]])[] = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
];
const RIFF = [0x52, 0x49, 0x46, 0x46];
const WEBP = [0x57, 0x45, 0x42, 0x50];
const PIECE = 8192; // bytes that become characters at once; more would be too many arguments

export function contentOf(bytes: Uint8Array): Content {
  const media = imageType(bytes);
  if (media !== "") return { kind: "image", url: `data:${media};base64,${base64(bytes)}` };
  if (bytes.includes(0)) return { kind: "binary" };
  try {
    return { kind: "text", text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { kind: "binary" };
  }
}

function imageType(bytes: Uint8Array): string {
  const begins = (sign: readonly number[], at = 0) => sign.every((byte, offset) => bytes[at + offset] === byte);
  if (begins(RIFF) && begins(WEBP, 8)) return "image/webp";
  return IMAGES.find(([, sign]) => begins(sign))?.[0] ?? "";
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return btoa(text);
}
