// Opens 20 event streams, sends 100 requests and an upload of 4 MB beside them, and waits for
// another event of each, by fetch: that of undici in the directory of the second argument, or
// Node's.
import { createRequire } from 'node:module';

const [url, directory] = process.argv.slice(2);
let ask = fetch;
let version = `Node ${process.version}, undici ${process.versions.undici}`;
if (directory) {
  const require = createRequire(`${directory}/`);
  const undici = require('undici');
  undici.setGlobalDispatcher(new undici.Agent({ allowH2: true }));
  ask = undici.fetch;
  version = `Node ${process.version}`;
}
console.log(version);
const streams = [];
for (let i = 0; i < 20; i++) {
  const reader = (await ask(`${url}/events`)).body.getReader();
  await reader.read();
  streams.push(reader);
}
const posts = [...Array(100).keys()].map(async (i) => {
  const answer = await ask(`${url}/post`, { method: 'POST', body: 'x'.repeat(100 * i) });
  return await answer.text() === `${100 * i} bytes`;
});
const right = (await Promise.all(posts)).filter((one) => one).length;
const upload = await (await ask(`${url}/upload`, { method: 'POST', body: Buffer.alloc(4 << 20) })).text();
await Promise.all(streams.map((reader) => reader.read()));
console.log(right === 100 && upload === `${4 << 20} bytes` ? 'all right' : `${right} of 100 right, upload: ${upload}`);
process.exit(0);
