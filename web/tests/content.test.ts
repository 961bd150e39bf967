import { describe, expect, it } from "vitest";
import { contentOf } from "../src/ui/content";
import { sizeWords } from "../src/ui/size";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("what bytes are", () => {
  it("is a picture by its first bytes, and text only if all of it is", () => {
    const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1]);
    expect(contentOf(png)).toEqual({ kind: "image", url: "data:image/png;base64,iVBORw0KGgoB" });
    expect(contentOf(bytes("é<b>"))).toEqual({ kind: "text", text: "é<b>" });
    expect(contentOf(new Uint8Array([0xff, 0xfe, 0x41]))).toEqual({ kind: "binary" });
    expect(contentOf(bytes("a\0b"))).toEqual({ kind: "binary" });
  });

  it("is text for documents that could run something", () => {
    for (const text of ["<svg onload=alert(1)>", "<html><script>alert(1)</script>", "%PDF-1.7"]) {
      expect(contentOf(bytes(text)).kind).toBe("text");
    }
  });

  it("is written in units that one can read", () => {
    expect([0, 1023, 1536, 300 * 1024, 5 * 1024 ** 3].map(sizeWords)).toEqual(["0 B", "1023 B", "1.5 KiB", "300 KiB", "5.0 GiB"]);
  });
});
