// Custom resources (JSON on standard input) against their projects' own types, one line for each that is wrong.
// Its argument is the directory of requirements/kinds, installed.
import { readFileSync } from "node:fs";

const home = `${process.argv[2]}/node_modules/@kubernetes-models`;
const keda = await import(`${home}/keda/keda.sh/v1alpha1/index.js`);
const operator = await import(`${home}/prometheus-operator/monitoring.coreos.com/v1/index.js`);

for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const { apiVersion, kind, metadata } = resource;
  try {
    new { ...keda, ...operator }[kind](resource).validate();
  } catch (error) {
    console.log(`${apiVersion} ${kind} ${metadata?.name}: ${error.message}`);
  }
}
