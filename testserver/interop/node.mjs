// Stream's server-side SDK for Node, as a backend would use it.
import assert from 'node:assert/strict';
import { StreamClient } from '@stream-io/node-sdk';
import { BASE, KEY, SECRET, call, control, patience, run, sleep } from './lib.mjs';

const server = new StreamClient(KEY, SECRET, { basePath: BASE, timeout: patience });

// The SDK sets iat one second back, so a new token lives only once that second lies behind the revocation.
const nextToken = async (user_id) => {
  await sleep(2100);
  return server.generateUserToken({ user_id });
};

run({
  async mint() {
    assert.equal(await call(server.generateUserToken({ user_id: 'alice' })), 0);
    assert.equal(await call(server.generateUserToken({ user_id: 'alice', validity_in_seconds: 60 })), 0);
    assert.equal(await call(server.generatePermanentUserToken({ user_id: 'alice' })), 0);
    assert.equal(await call(server.createToken('alice')), 0);
    assert.equal(await call(server.generateUserToken({ user_id: 'alice', exp: Math.floor(Date.now() / 1000) - 1 })), 40);
    assert.equal(await call(server.generateUserToken({ user_id: 'alice', iat: Math.floor(Date.now() / 1000) + 60 })), 42);
    const other = new StreamClient(KEY, 'another secret', { basePath: BASE, timeout: patience });
    assert.equal(await call(other.generateUserToken({ user_id: 'alice' })), 43);
    await assert.rejects(other.getApp(), { code: 43 });
  },

  async upsert() {
    const { users, metadata } = await server.upsertUsers([{ id: 'alice', name: 'Alice', role: 'admin', custom: { n: 1 } }, { id: 'bob' }]);
    assert.equal(metadata.responseCode, 201);
    assert.equal(users.alice.role, 'admin');
    assert.deepEqual(users.alice.custom, { n: 1 });
    assert.ok(users.bob.created_at instanceof Date);
    await server.updateUsersPartial({ users: [{ id: 'alice', set: { name: 'A.' }, unset: ['custom.n'] }] });
    const found = (await server.queryUsers({ payload: { filter_conditions: { id: { $in: ['alice'] } } } })).users;
    assert.equal(found.length, 1);
    assert.equal(found[0].name, 'A.');
    assert.deepEqual(found[0].custom, {});
    await assert.rejects(server.updateUsersPartial({ users: [{ id: 'nobody', set: { name: 'x' } }] }), { code: 16 });
  },

  async revokeUser() {
    const alice = server.generateUserToken({ user_id: 'alice' });
    const bob = server.generateUserToken({ user_id: 'bob' });
    assert.deepEqual([await call(alice), await call(bob)], [0, 0]);
    const revoke = (before) => server.updateUsersPartial({ users: [{ id: 'alice', set: { revoke_tokens_issued_before: before } }] });
    const { users } = await revoke(new Date());
    assert.ok(users.alice.revoke_tokens_issued_before instanceof Date);
    assert.deepEqual([await call(alice), await call(bob)], [40, 0]);
    assert.equal(await call(await nextToken('alice')), 0);
    await revoke(null);
    assert.equal(await call(alice), 0);
  },

  async revokeApp() {
    const alice = server.generateUserToken({ user_id: 'alice' });
    assert.equal(await call(alice), 0);
    await server.updateApp({ revoke_tokens_issued_before: new Date() });
    assert.ok((await server.getApp()).app.revoke_tokens_issued_before instanceof Date);
    assert.equal(await call(alice), 40);
    assert.equal(await call(await nextToken('alice')), 0);
    await server.updateApp({ revoke_tokens_issued_before: null });
    assert.equal((await server.getApp()).app.revoke_tokens_issued_before ?? null, null);
    assert.equal(await call(alice), 0);
  },

  async developer() {
    const payload = Buffer.from(JSON.stringify({ user_id: 'ab?>' })).toString('base64');
    const token = `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.${payload}.devtoken`;
    assert.equal(await call(token), 43);
    await server.updateApp({ disable_auth_checks: true });
    assert.equal((await server.getApp()).app.disable_auth_checks, true);
    assert.equal(await call(token), 0);
    await server.updateApp({ disable_auth_checks: false });
    assert.equal(await call(token), 43);
  },

  // The limit counts for each operation alone, and the SDK reads what is left of it.
  async limit() {
    await control('minute');
    const left = [];
    for (let n = 0; n < 3; n++) left.push((await server.getApp()).metadata.rateLimit.rateLimitRemaining);
    assert.deepEqual(left, [2, 1, 0]);
    await assert.rejects(server.getApp(), (error) => {
      assert.equal(error.code, 9);
      assert.equal(error.metadata.responseCode, 429);
      assert.equal(error.metadata.rateLimit.rateLimit, 3);
      assert.ok(error.metadata.rateLimit.rateLimitReset > new Date());
      return true;
    });
    await server.upsertUsers([{ id: 'alice' }]);
  },
});
