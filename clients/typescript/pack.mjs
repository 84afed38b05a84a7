// Builds the package with a command in it: node pack.mjs COMMAND DIRECTORY_FOR_THE_TARBALL
//
// The command is for one system, so the package names that system. `npm pack` without this script makes a package
// without a command, which uses one of the PATH.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [command, out] = process.argv.slice(2).map((path) => resolve(path));
const here = fileURLToPath(new URL(".", import.meta.url));
const staging = mkdtempSync(join(tmpdir(), "usage-ledger-"));
try {
  const tsc = process.env.TSC ?? join(here, "node_modules/.bin/tsc");
  execFileSync(tsc, ["--project", here, "--outDir", join(staging, "dist")], { stdio: "inherit" });
  const manifest = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  delete manifest.scripts;
  delete manifest.devDependencies;
  Object.assign(manifest, { os: [process.platform], cpu: [process.arch] });
  writeFileSync(join(staging, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  copyFileSync(join(here, "README.md"), join(staging, "README.md"));
  cpSync(join(here, "bin"), join(staging, "bin"), { recursive: true });
  const name = process.platform === "win32" ? "usage-ledger.exe" : "usage-ledger";
  copyFileSync(command, join(staging, "bin", name));
  chmodSync(join(staging, "bin", name), 0o755);
  mkdirSync(out, { recursive: true });
  execFileSync("npm", ["pack", "--silent", "--pack-destination", out], { cwd: staging, stdio: "inherit" });
} finally {
  rmSync(staging, { recursive: true });
}
