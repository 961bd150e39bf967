import { expect, test } from "vitest";
import { LINES_MAX, Lines } from "../src/ui/lines";

test("lines come out the same however the text was cut, the unfinished one too", () => {
  const text = "one\r\ntwo\n 10%\r 50%\r100%\nlast";
  for (const size of [1, 2, 7, 100]) {
    const lines = new Lines();
    for (let at = 0; at < text.length; at += size) lines.push(text.slice(at, at + size));
    expect(lines.all()).toEqual(["one", "two", "100%", "last"]);
  }
});

test("a flood keeps the newest lines and says how many are gone", () => {
  const lines = new Lines();
  for (let block = 0; block < 3; block += 1) lines.push("x\n".repeat(LINES_MAX / 2));
  expect(lines.lines.length).toBe(LINES_MAX);
  expect(lines.dropped).toBe(LINES_MAX / 2);
});
