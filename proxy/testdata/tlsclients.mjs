// Makes the connections that standard input describes, all at once, one JSON object per
// line, and writes what came of each: the text that was received, and how it ended.
import tls from 'node:tls';
import fs from 'node:fs';

const read = (name) => name && fs.readFileSync(name);

function knock({ address, version, ca, certificate, ciphers, say }, session) {
  const [host, port] = address.split(':');
  const outcome = { text: '', error: '' };
  return new Promise((resolve) => {
    const socket = tls.connect({
      host, port, servername: 'a.test', session, ca: read(ca), ciphers, minVersion: version, maxVersion: version,
      cert: read(certificate && certificate + '.pem'), key: read(certificate && certificate + '.key'),
    }, () => {
      outcome.cipher = socket.getCipher().standardName;
      outcome.reused = socket.isSessionReused();
      socket.write(say);
    });
    socket.on('session', (ticket) => { outcome.session = ticket; });
    socket.on('data', (bytes) => { outcome.text += bytes; });
    socket.on('error', (error) => { outcome.error = String(error); });
    socket.on('close', () => resolve(outcome));
  });
}

async function twice(connection) {
  const first = await knock(connection);
  if (!connection.resume) return first;
  return knock(connection, first.session);
}

const connections = JSON.parse(fs.readFileSync(0, 'utf8'));
const outcomes = await Promise.all(connections.map(twice));
console.log(JSON.stringify(outcomes.map(({ session, ...outcome }) => outcome)));
