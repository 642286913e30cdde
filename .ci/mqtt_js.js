// MQTT.js, as it comes from npm, against `windlass hub`: mqtt_js.js PORT
//
// Both versions over TCP and WebSocket: every QoS, small and large, retained, wills, shared subscriptions, sessions that
// go on.

const mqtt = require('mqtt');

const port = process.argv[2];
const WAIT_MS = 10_000;

// One client, and what it has heard.
class Device {
  static async of(url, protocolVersion, clientId, { stays = false, will } = {}) {
    const properties = protocolVersion === 5 && stays ? { sessionExpiryInterval: 1000 } : undefined;
    const options = { protocolVersion, clientId, clean: !stays, will, properties, reconnectPeriod: 0 };
    const device = new Device();
    device.heard = [];
    device.waiting = [];
    device.client = mqtt.connect(url, options);
    device.client.on('message', (topic, payload, packet) => {
      device.heard.push({ topic, payload, qos: packet.qos, retain: packet.retain });
      device.waiting.shift()?.();
    });
    await new Promise((done, fail) => {
      device.client.once('connect', (connack) => {
        device.present = connack.sessionPresent;
        done();
      });
      device.client.once('error', fail);
    });
    // A connection that is broken off on purpose is no error.
    device.client.on('error', () => {});
    return device;
  }

  async subscribe(filter, qos) {
    const [granted] = await this.client.subscribeAsync(filter, { qos });
    is('granted', granted.qos, qos);
  }

  publish(topic, payload, qos = 0, retain = false) {
    return this.client.publishAsync(topic, payload, { qos, retain });
  }

  async next() {
    if (this.heard.length === 0) {
      await new Promise((done, fail) => {
        const late = setTimeout(() => fail(new Error('nothing came')), WAIT_MS);
        this.waiting.push(() => {
          clearTimeout(late);
          done();
        });
      });
    }
    return this.heard.shift();
  }

  leave() {
    return this.client.endAsync();
  }
}

function is(what, got, wanted) {
  if (String(got) !== String(wanted)) throw new Error(`${what}: ${got} instead of ${wanted}`);
}

async function check(url, version) {
  const tag = `${version}${new URL(url).protocol}`;
  const device = (name, more) => Device.of(url, version, `${name}${tag}`, more);
  const [sender, receiver] = [await device('sender'), await device('receiver')];
  await receiver.subscribe(`${tag}/#`, 2);
  for (const size of [0, 1, 200, 100_000]) {
    for (const qos of [0, 1, 2]) {
      await sender.publish(`${tag}/x`, Buffer.alloc(size), qos);
      const message = await receiver.next();
      is('a message', [message.qos, message.payload.length, message.retain], [qos, size, false]);
    }
  }
  const count = 60;
  await Promise.all(Array.from({ length: count }, (_, n) => sender.publish(`${tag}/order`, `${n}`, 1)));
  for (let n = 0; n < count; n += 1) is('the order', (await receiver.next()).payload, n);

  await sender.publish(`${tag}/kept`, 'on', 1, true);
  await receiver.next();
  const late = await device('late');
  await late.subscribe(`${tag}/kept`, 1);
  const kept = await late.next();
  is('retained', [kept.payload, kept.qos, kept.retain], ['on', 1, true]);
  await sender.publish(`${tag}/kept`, '', 0, true);
  await late.leave();

  let away = await device('away', { stays: true });
  is('no session', away.present, false);
  await away.subscribe(`${tag}/away`, 2);
  await away.leave();
  for (let n = 0; n < 20; n += 1) await sender.publish(`${tag}/away`, `${n}`, 1 + (n % 2));
  away = await device('away', { stays: true });
  is('a session', away.present, true);
  // One of QoS 2 is told when it is released, so others may pass it.
  const waited = [];
  for (let n = 0; n < 20; n += 1) waited.push(Number((await away.next()).payload));
  is('what waited', waited.sort((a, b) => a - b), Array.from({ length: 20 }, (_, n) => n));
  await away.leave();

  const watcher = await device('watcher');
  await watcher.subscribe(`gone/${tag}`, 1);
  const will = { topic: `gone/${tag}`, payload: Buffer.from('gone'), qos: 1, retain: false };
  const doomed = await device('doomed', { will });
  doomed.client.stream.destroy();
  is('a will', (await watcher.next()).payload, 'gone');

  const members = [await device('member1'), await device('member2')];
  for (const member of members) await member.subscribe(`$share/g/${tag}/work`, 1);
  for (let n = 0; n < 20; n += 1) await sender.publish(`${tag}/work`, `${n}`, 1);
  const got = [];
  for (const member of members) for (let n = 0; n < 10; n += 1) got.push(Number((await member.next()).payload));
  is('a shared subscription', got.sort((a, b) => a - b), Array.from({ length: 20 }, (_, n) => n));
  for (const one of [...members, watcher, sender, receiver]) await one.leave();
}

async function main() {
  for (const version of [4, 5]) {
    await check(`mqtt://127.0.0.1:${port}`, version);
    await check(`ws://127.0.0.1:${port}/mqtt`, version);
  }
  console.log('MQTT.js: both versions over TCP and WebSocket');
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
