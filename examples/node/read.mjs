// The verification service reads a record for a purpose, with its certificate, and writes the body to a file.
//
//   node examples/node/read.mjs customers/acme/sessions/…/records/… stored.jpg [PURPOSE_VERIFICATION]
import { writeFileSync } from "node:fs";
import { deadline, refusal, storage } from "./suite.mjs";

const [name, file, purpose = "PURPOSE_VERIFICATION"] = process.argv.slice(2);

const client = storage("verification");
try {
  const call = client.ReadRecord({ name, purpose }, { deadline: deadline(60) });
  const chunks = [];
  for await (const { opening, chunk } of call) {
    if (opening) {
      console.error(`${opening.record.category}, ${opening.record.media_type}, ${opening.record.size_bytes} bytes`);
    } else {
      chunks.push(chunk);
    }
  }
  writeFileSync(file, Buffer.concat(chunks));
} catch (error) {
  console.error(refusal(error));
  process.exitCode = 1;
} finally {
  client.close();
}
