// Node.js: one thread, callbacks; sends back what it receives.

const net = require('node:net');

const server = net.createServer({noDelay: true, allowHalfOpen: false}, (socket) => {
  socket.on('error', () => {});  // a client that has gone is no reason to end
  socket.pipe(socket);
});
server.listen({host: '127.0.0.1', port: 0, backlog: 4096}, () => {
  console.log(`listening on tcp://127.0.0.1:${server.address().port}`);
});
