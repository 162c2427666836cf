// One end of a WebSocket, using npm's ws, for the tests of mcplb's relay.
//
//   node peer.mjs serve DEFLATE                             an echo server; prints its port
//   node peer.mjs connect DEFLATE URL MESSAGES LARGEST      a client of an echo server
//
// DEFLATE is "deflate" or "plain": whether permessage-deflate is offered and
// accepted. The client sends MESSAGES messages of up to LARGEST bytes, text and
// binary, every third in fragments with pings between them, and checks that each
// comes back unchanged; then it closes with code 4000 and a reason, and expects
// the same from the server. Its exit status is 1 if any check fails.
import { createRequire } from 'node:module';
import { createHash, randomBytes } from 'node:crypto';
const { WebSocket, WebSocketServer } = createRequire(process.cwd() + '/')('ws');

const [, , role, deflate, url, messages, largest] = process.argv;
const maxPayload = 64 << 20;
const perMessageDeflate = deflate === 'deflate' ? { threshold: 0 } : false;

if (role === 'serve') {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload, perMessageDeflate });
  server.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('close', (code, reason) => socket.close(code, reason));
    socket.on('error', (error) => console.error('server:', error.message));
  });
  server.on('listening', () => console.log('listening on ' + server.address().port));
} else {
  await connect().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

// content returns message i: all relevant sizes, and large ones among them.
function content(i) {
  const sizes = [0, 1, 125, 126, 127, 65535, 65536, 65537];
  let size = i % 250 === 249 ? Number(largest) : sizes[i % 16] ?? (i * 7919) % 20000;
  size = Math.min(size, Number(largest));
  if (i % 2 === 0) return { binary: false, data: Buffer.from(`message ${i} `.repeat(size / 12 + 1).slice(0, size)) };
  return { binary: true, data: randomBytes(size) };
}

function sendMessage(socket, { data, binary }, fragmented) {
  if (!fragmented || data.length < 3) {
    socket.send(data, { binary });
    return;
  }
  const third = Math.ceil(data.length / 3);
  socket.send(data.subarray(0, third), { binary, fin: false });
  socket.send(data.subarray(third, 2 * third), { binary, fin: false });
  socket.ping('between fragments'); // control frames are allowed between them
  socket.send(data.subarray(2 * third), { binary, fin: true });
}

async function connect() {
  const socket = new WebSocket(url, { maxPayload, perMessageDeflate });
  let pongs = 0, received = 0, sent = 0;
  const waiting = [];
  const digest = (m) => createHash('sha256').update(m.data).digest('hex') + m.binary;
  await new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
  });
  const negotiated = socket.extensions.includes('permessage-deflate');
  if (negotiated !== (deflate === 'deflate')) throw new Error(`extensions: "${socket.extensions}"`);
  const next = () => {
    while (sent < Number(messages) && waiting.length < 8) {
      const message = content(sent);
      waiting.push(digest(message));
      sendMessage(socket, message, sent % 3 === 2);
      sent++;
    }
  };
  const all = new Promise((resolve, reject) => {
    socket.on('pong', () => pongs++);
    socket.on('error', reject);
    socket.on('close', (code) => reject(new Error(`closed with ${code} after ${received} messages`)));
    socket.on('message', (data, binary) => {
      if (digest({ data, binary }) !== waiting.shift()) reject(new Error(`message ${received} differs`));
      received++;
      if (received === Number(messages)) resolve();
      else next();
    });
  });
  next();
  await all;
  socket.removeAllListeners('close');
  const closed = new Promise((resolve) => socket.on('close', (code, reason) => resolve(`${code} ${reason}`)));
  socket.close(4000, 'that was all');
  const end = await closed;
  if (end !== '4000 that was all') throw new Error(`closed with ${end}`);
  if (Number(messages) > 8 && pongs === 0) throw new Error('no pong');
  console.log(`${received} messages, ${pongs} pongs`);
}
