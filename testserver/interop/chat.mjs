// Stream's chat client for JavaScript, which speaks the older protocol, as far as logging in goes.
import assert from 'node:assert/strict';
import { StreamChat } from 'stream-chat';
import { BASE, KEY, SECRET, control, patience, provider, run, sleep, until } from './lib.mjs';

const options = { baseURL: BASE, timeout: patience, allowServerSideConnect: true };
const server = () => new StreamChat(KEY, SECRET, options);
const sockets = async () => (await control('sockets')).json();

run({
  async login() {
    const client = new StreamChat(KEY, options);
    const tokens = provider('alice');
    const hello = await client.connectUser({ id: 'alice', name: 'Alice' }, tokens);
    assert.equal(hello.me.id, 'alice');
    assert.equal(hello.me.name, 'Alice');
    assert.ok(Math.abs(new Date(hello.me.created_at) - Date.now()) < 60_000);
    assert.ok(hello.connection_id);
    const { users } = await client.queryUsers({ id: 'alice' });
    assert.equal(users[0].name, 'Alice');
    assert.ok(Math.abs(new Date(users[0].created_at) - Date.now()) < 60_000);
    assert.equal(tokens.calls, 1);
    await client.disconnectUser();
  },

  async guest() {
    const client = new StreamChat(KEY, options);
    const { me } = await client.setGuestUser({ id: 'ann' });
    assert.match(me.id, /^guest-.*-ann$/);
    await client.disconnectUser();
  },

  async anonymous() {
    const client = new StreamChat(KEY, options);
    const { me } = await client.connectAnonymousUser();
    assert.equal(me.role, 'anonymous');
    await client.disconnectUser();
  },

  async expire() {
    const client = new StreamChat(KEY, options);
    const tokens = provider('alice');
    await client.connectUser({ id: 'alice' }, tokens);
    await control('expire');
    const { users } = await client.queryUsers({ id: 'alice' });
    assert.equal(users[0].id, 'alice');
    assert.equal(tokens.calls, 2);
    await client.disconnectUser();
  },

  // The socket is cut after its token has ended: refused on the way back, refreshed, in again.
  async reconnect() {
    const client = new StreamChat(KEY, options);
    const tokens = provider('alice');
    await client.connectUser({ id: 'alice' }, tokens);
    await control('expire');
    await control('drop');
    await until('a new connection', async () => (await sockets()) === 2 && client.wsConnection.isHealthy);
    assert.equal(tokens.calls, 2);
    await client.disconnectUser();
  },

  async revoke() {
    const client = new StreamChat(KEY, options);
    const tokens = provider('alice');
    await client.connectUser({ id: 'alice' }, tokens);
    const admin = server();
    await sleep(1100); // iat has whole seconds
    await admin.revokeUserToken('alice', new Date());
    assert.equal((await client.queryUsers({ id: 'alice' })).users.length, 1);
    assert.equal(tokens.calls, 2);
    await sleep(1100);
    await admin.revokeTokens(new Date());
    assert.ok(!Number.isNaN(Date.parse((await admin.getAppSettings()).app.revoke_tokens_issued_before)));
    assert.equal((await client.queryUsers({ id: 'alice' })).users.length, 1);
    assert.equal(tokens.calls, 3);
    await admin.revokeTokens(null);
    await admin.revokeUserToken('alice', null);
    await client.disconnectUser();
  },
});
