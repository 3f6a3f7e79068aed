// Standard JSON in on stdin, standard JSON out on stdout. argv[2]: the node_modules that solc and imports come from.
"use strict";
const fs = require("fs");
const path = require("path");

const modules = path.resolve(process.argv[2]);
const solc = require(path.join(modules, "solc"));

function read(name) {
  const file = path.resolve(modules, name);
  if (!file.startsWith(modules + path.sep)) return { error: `${name} is outside ${modules}` };
  try {
    return { contents: fs.readFileSync(file, "utf8") };
  } catch (problem) {
    return { error: problem.message };
  }
}

process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: read }));
