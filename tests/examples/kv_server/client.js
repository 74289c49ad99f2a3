// What a program does that uses a client of JavaScript: client.js ioredis|redis PORT COUNT. Prints what it has found, as
// JSON.

const [library, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const module_ = require(library);
const numbers = [...Array(count).keys()];
const message = (error) => error.message.replace(/^ERR /, '');

// Each gives the same functions.
const libraries = {
  async ioredis() {
    const options = {port, connectionName: 'me', retryStrategy: () => null};
    const client = new module_(options);
    return {
      client,
      name: () => client.client('GETNAME'),
      async scan(found) {
        for await (const keys of client.scanStream({match: 'key *', count: 7})) keys.forEach((key) => found.add(key));
      },
      // It only reports what goes wrong when it connects.
      otherDatabase: () => new Promise((resolve, reject) => {
        const other = new module_({...options, db: 1});
        other.on('error', (error) => {
          other.disconnect();
          reject(error);
        });
      }),
    };
  },
  async redis() {
    const options = {url: `redis://127.0.0.1:${port}`, name: 'me', RESP: 2};
    const client = module_.createClient({...options, username: 'default', password: 'any'});
    client.on('error', (error) => console.error(error));
    await client.connect();
    return {
      client,
      name: () => client.sendCommand(['CLIENT', 'GETNAME']),
      async scan(found) {
        for await (const keys of client.scanIterator({MATCH: 'key *', COUNT: 7})) {
          [keys].flat().forEach((key) => found.add(key));
        }
      },
      async otherDatabase() {
        await client.select(1);
      },
    };
  },
};

async function main() {
  const {client, name, scan, otherDatabase} = await libraries[library]();
  const found = {name: await name()};
  await client.set('greeting', 'hello');
  found.value = await client.get('greeting');
  found.missing = await client.get('nothing');
  const value = 'x'.repeat(1000);
  const sets = numbers.map((number) => client.set(`key ${number}`, value));  // without waiting for any answer
  const gets = numbers.map((number) => client.get(`key ${number}`));
  await Promise.all(sets);
  found.pipelined = (await Promise.all(gets)).filter((answer) => answer === value).length;
  const keys = new Set();
  await scan(keys);
  found.scanned = keys.size;
  await client.incr('greeting').catch((error) => found.error = message(error));
  await otherDatabase().catch((error) => found['other database'] = message(error));
  await client.quit();
  console.log(JSON.stringify(found));
}

main();
