import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// The service serves dist/app below /ui/, from any path: addresses in the built files are relative. The manifest tells it the names.
export default defineConfig({
  base: './',
  plugins: [svelte()],
  build: {
    outDir: 'dist/app',
    emptyOutDir: true,
    manifest: 'manifest.json',
    modulePreload: false,
    rollupOptions: { input: { registration: 'src/registration/main.ts' } },
  },
})
