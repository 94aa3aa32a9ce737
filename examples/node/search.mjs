// Search a Duet server with a picture. Nothing here was generated, and no .proto file is read: the server tells by
// reflection what it can be asked.
//
//   npm install
//   node search.mjs 127.0.0.1:50051 dress.jpg

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const grpc = require("@grpc/grpc-js");
const { GrpcReflection } = require("grpc-js-reflection-client");

const [target = "127.0.0.1:50051", picture] = process.argv.slice(2);
const credentials = grpc.credentials.createInsecure();

const reflection = new GrpcReflection(target, credentials);
const services = await reflection.listServices();
console.log("services:", services.join(", "));

const descriptor = await reflection.getDescriptorBySymbol("duet.v1.SearchService");
const { duet } = descriptor.getPackageObject({ keepCase: true, longs: Number, enums: String, defaults: true });
const client = new duet.v1.SearchService(target, credentials);

const request = { image: await readFile(picture), page_size: 3 };
client.Search(request, { deadline: Date.now() + 30_000 }, (error, response) => {
  if (error) {
    console.error(`${grpc.status[error.code]}: ${error.details}`);
    process.exitCode = 1;
    return;
  }
  console.log(`${response.hits.length} of ${response.total_candidates} candidates, ${response.snapshot}`);
  for (const hit of response.hits) {
    const why = hit.contributions.map((one) => `${one.attribute} ${one.similarity.toFixed(3)}`);
    console.log(`${hit.rank}. ${hit.item_id}  ${hit.score.toFixed(3)}  ${why.join(", ")}`);
  }
});
