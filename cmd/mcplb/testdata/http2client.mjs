// Opens 20 event streams over one connection of HTTP/2, then sends 100 requests at once and
// an upload of 4 MB beside them, waits for another event of each stream, cancels them, and
// writes what it has found.
import http2 from 'node:http2';

const session = http2.connect(process.argv[2], { rejectUnauthorized: false });
session.on('error', (error) => { console.log(String(error)); process.exit(1); });

function events() {
  const stream = session.request({ ':path': '/events', accept: 'text/event-stream' });
  const wait = (event) => new Promise((done) => {
    let text = '';
    stream.on('data', (bytes) => { text += bytes; if (text.includes(`data: ${event}\n\n`)) done(); });
  });
  return { stream, first: wait('first'), second: wait('second') };
}

function post(path, body) {
  return new Promise((done, failed) => {
    const stream = session.request({ ':method': 'POST', ':path': path });
    let text = '';
    let status;
    stream.on('response', (head) => { status = head[':status']; });
    stream.on('data', (bytes) => { text += bytes; });
    stream.on('end', () => done(`${status} ${text}`));
    stream.on('error', failed);
    stream.end(body);
  });
}

const streams = [...Array(20).keys()].map(events);
await Promise.all(streams.map((s) => s.first));
const answers = await Promise.all([...Array(100).keys()].map(async (i) => await post(`/post${i}`, 'x'.repeat(100 * i)) === `200 /post${i} ${100 * i}`));
const upload = await post('/upload', Buffer.alloc(4 << 20));
await post('/send', '');
await Promise.all(streams.map((s) => s.second));
streams.forEach((s) => s.stream.close(http2.constants.NGHTTP2_CANCEL));
console.log(`${answers.filter((right) => right).length} right, ${upload}`);
session.close();
