const { createHash } = require("node:crypto");
const { readdirSync, readFileSync, writeFileSync } = require("node:fs");

const bundle = {};
for (const name of readdirSync("parts")) {
  const text = readFileSync(`parts/${name}`, "utf8");
  bundle[name] = { text, sha256: createHash("sha256").update(text).digest("hex") };
}
writeFileSync("bundle.json", JSON.stringify(bundle, null, 2));
