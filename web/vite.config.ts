import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The built files are committed under titan/dashboard and travel in the wheel: `pip install` needs no Node.
// Names carry a hash of the content, so the same sources give the same files on every machine.
export default defineConfig({
  plugins: [react()],
  base: "/",
  build: {
    outDir: "../titan/dashboard",
    emptyOutDir: true,
    sourcemap: false,
    target: "es2022",
    assetsInlineLimit: 0,
  },
  server: {
    proxy: { "/api": { target: process.env["TITAN_HTTP"] ?? "http://127.0.0.1:9080", changeOrigin: true } },
  },
});
