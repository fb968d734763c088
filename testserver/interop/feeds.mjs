// Stream's feeds client for JavaScript, as a browser would use it.
import assert from 'node:assert/strict';
import { FeedsClient } from '@stream-io/feeds-client';
import { BASE, KEY, SECRET, control, patience, provider, run, sleep, until } from './lib.mjs';
import { StreamClient } from '@stream-io/node-sdk';

const connect = async (user, tokens, options = {}) => {
  const client = new FeedsClient(KEY, { base_url: BASE, timeout: patience, ...options });
  await client.connectUser({ id: user, name: user.toUpperCase() }, tokens);
  return client;
};

const healthy = (client) => client.state.getLatestValue().is_ws_connection_healthy;
const recent = (date) => {
  assert.ok(date instanceof Date, `${date} is no Date`);
  assert.ok(Math.abs(date - Date.now()) < 60_000, `${date.toISOString()} is not now`);
};

run({
  async login() {
    const tokens = provider('alice');
    const client = await connect('alice', tokens);
    const me = client.state.getLatestValue().connected_user;
    assert.equal(me.id, 'alice');
    assert.equal(me.name, 'ALICE');
    assert.ok(healthy(client));
    const { activity, metadata } = await client.addActivity({ type: 'post', feeds: ['user:alice'], text: 'hello', custom: { n: 1 } });
    assert.equal(activity.user.id, 'alice');
    assert.equal(activity.text, 'hello');
    assert.deepEqual(activity.custom, { n: 1 });
    recent(activity.created_at);
    assert.equal(metadata.rate_limit.rate_limit, 1000);
    assert.equal(metadata.rate_limit.rate_limit_remaining, 999);
    recent(metadata.rate_limit.rate_limit_reset);
    assert.equal(tokens.calls, 1);
    await client.disconnectUser();
  },

  // A token that ends between two requests costs one refusal and one call of the provider.
  async expire() {
    const tokens = provider('alice');
    const client = await connect('alice', tokens);
    await client.addActivity({ type: 'post', feeds: ['user:alice'], text: 'before' });
    await control('expire');
    const { activity } = await client.addActivity({ type: 'post', feeds: ['user:alice'], text: 'after' });
    assert.equal(activity.text, 'after');
    assert.equal(tokens.calls, 2);
    assert.ok(healthy(client), 'the socket did not outlive its token');
    await client.disconnectUser();
  },

  async revoke() {
    const tokens = provider('alice');
    const client = await connect('alice', tokens);
    await sleep(1100); // iat has whole seconds
    const server = new StreamClient(KEY, SECRET, { basePath: BASE, timeout: patience });
    await server.updateUsersPartial({ users: [{ id: 'alice', set: { revoke_tokens_issued_before: new Date() } }] });
    await client.addActivity({ type: 'post', feeds: ['user:alice'], text: 'after' });
    assert.equal(tokens.calls, 2);
    await client.disconnectUser();
  },

  async developer() {
    const client = new FeedsClient(KEY, { base_url: BASE, timeout: patience });
    globalThis.window = { btoa }; // which a browser has
    const token = client.devToken('ab?>');
    delete globalThis.window;
    await client.connectUser({ id: 'ab?>' }, token);
    const { activity } = await client.addActivity({ type: 'post', feeds: ['user:dev'] });
    assert.equal(activity.user.id, 'ab?>');
    await client.disconnectUser();
  },

  async realtime() {
    const client = await connect('alice', provider('alice'));
    const feed = client.feed('user', 'alice');
    await feed.getOrCreate({ watch: true });
    const seen = [];
    client.on('all', (event) => seen.push(event));
    const texts = () => (feed.currentState.activities ?? []).map((a) => a.text);
    const event = async (type) => {
      await until(type, () => seen.some((e) => e.type === type));
      const found = seen.find((e) => e.type === type);
      recent(found.created_at);
      seen.length = 0;
      return found;
    };

    const server = new StreamClient(KEY, SECRET, { basePath: BASE, timeout: patience }).feeds;
    const { activity } = await server.addActivity({ type: 'post', feeds: ['user:alice'], text: 'one', user_id: 'alice' });
    const added = await event('feeds.activity.added');
    assert.equal(added.fid, 'user:alice');
    recent(added.activity.created_at);
    assert.deepEqual(texts(), ['one']);

    await server.updateActivity({ id: activity.id, text: 'two', user_id: 'alice' });
    await event('feeds.activity.updated');
    assert.deepEqual(texts(), ['two']);

    await server.addActivityReaction({ activity_id: activity.id, type: 'like', user_id: 'bob' });
    assert.equal((await event('feeds.activity.reaction.added')).reaction.user.id, 'bob');
    assert.equal(feed.currentState.activities[0].reaction_groups.like.count, 1);
    await server.deleteActivityReaction({ activity_id: activity.id, type: 'like', user_id: 'bob' });
    await event('feeds.activity.reaction.deleted');
    assert.equal(feed.currentState.activities[0].reaction_count, 0);

    const { comment } = await server.addComment({ object_id: activity.id, object_type: 'activity', comment: 'hi', user_id: 'bob' });
    const commented = await event('feeds.comment.added');
    assert.equal(commented.comment.text, 'hi');
    assert.equal(commented.activity.comment_count, 1);
    recent(commented.comment.created_at);
    await server.deleteComment({ id: comment.id });
    await event('feeds.comment.deleted');

    await server.deleteActivity({ id: activity.id });
    await event('feeds.activity.deleted');
    assert.deepEqual(texts(), []);
    await client.disconnectUser();
  },

  // A socket that is cut after its token has ended: the client comes back with the dead token, is refused, and refreshes.
  async reconnect() {
    const tokens = provider('alice');
    const client = await connect('alice', tokens);
    const feed = client.feed('user', 'alice');
    await feed.getOrCreate({ watch: true });
    await control('expire');
    await control('drop');
    await until('a new connection', async () => (await (await control('sockets')).json()) === 2 && healthy(client));
    assert.equal(tokens.calls, 2);
    await client.addActivity({ type: 'post', feeds: ['user:alice'], text: 'back' });
    await until('the event', () => (feed.currentState.activities ?? []).some((a) => a.text === 'back'));
    await client.disconnectUser();
  },

  // A server that tells of the end of a token on the open socket. The SDK ignores what it is told, and learns it when it
  // comes back from the close.
  async pushed() {
    const tokens = provider('alice');
    const client = await connect('alice', tokens);
    await control('expire');
    await until('a new connection', async () => (await (await control('sockets')).json()) === 2);
    await until('health', () => healthy(client));
    assert.equal(tokens.calls, 2);
    await client.disconnectUser();
  },

  async guest() {
    const client = new FeedsClient(KEY, { base_url: BASE, timeout: patience });
    const { user } = await client.connectGuest({ user: { id: 'ann', name: 'Ann' } });
    assert.match(user.id, /^guest-[0-9a-f-]{36}-ann$/);
    assert.equal(user.role, 'guest');
    assert.equal(client.state.getLatestValue().connected_user.id, user.id);
    const { activity } = await client.addActivity({ type: 'post', feeds: [`user:${user.id}`], text: 'hi' });
    assert.equal(activity.user.id, user.id);
    await client.disconnectUser();
  },

  async anonymous() {
    const alice = await connect('alice', provider('alice'));
    await alice.addActivity({ type: 'post', feeds: ['user:alice'], text: 'hello' });
    await alice.disconnectUser();

    const client = new FeedsClient(KEY, { base_url: BASE, timeout: patience });
    await client.connectAnonymous();
    const feed = client.feed('user', 'alice');
    await feed.getOrCreate();
    assert.deepEqual(feed.currentState.activities.map((a) => a.text), ['hello']);
    await assert.rejects(client.addActivity({ type: 'post', feeds: ['user:alice'] }), { name: 'StreamApiError', code: 17 });
  },

  // What a user may not do is no login problem: the provider is not asked.
  async forbidden() {
    const bob = await connect('bob', provider('bob'));
    await bob.addActivity({ type: 'post', feeds: ['user:bob'], text: 'mine', id: 'b1' });
    const tokens = provider('alice');
    const alice = await connect('alice', tokens);
    await assert.rejects(alice.deleteActivity({ id: 'b1' }), { code: 17 });
    await assert.rejects(alice.addActivity({ type: 'post', feeds: ['user:bob'] }), { code: 17 });
    assert.equal(tokens.calls, 1);
    await Promise.all([alice.disconnectUser(), bob.disconnectUser()]);
  },

  // The rest of what a bot does, through the SDK's own models.
  async content() {
    const client = await connect('alice', provider('alice'));
    for (const [group, id] of [['user', 'alice'], ['timeline', 'alice']]) await client.feed(group, id).getOrCreate();
    for (let n = 0; n < 5; n++) {
      await client.addActivity({ type: n % 2 ? 'note' : 'post', feeds: ['user:alice'], text: `${n}`, id: `a${n}` });
    }
    const pages = [];
    for (let next; ; ) {
      const page = await client.queryActivities({ filter: { user_id: 'alice' }, limit: 2, next, sort: [{ field: 'created_at', direction: 1 }] });
      pages.push(page.activities.map((a) => a.text).join(''));
      if (!(next = page.next)) break;
    }
    assert.deepEqual(pages, ['01', '23', '4']);
    const notes = await client.queryActivities({ filter: { activity_type: 'note' } });
    assert.deepEqual(notes.activities.map((a) => a.text), ['3', '1']);

    const partial = await client.updateActivityPartial({ id: 'a0', set: { text: 'zero', 'custom.n': 1 } });
    assert.equal(partial.activity.text, 'zero');
    assert.deepEqual(partial.activity.custom, { n: 1 });

    const { reaction } = await client.addActivityReaction({ activity_id: 'a0', type: 'like' });
    recent(reaction.created_at);
    const got = (await client.getActivity({ id: 'a0' })).activity;
    assert.equal(got.own_reactions.length, 1);
    recent(got.reaction_groups.like.first_reaction_at);

    const { comment } = await client.addComment({ object_id: 'a0', object_type: 'activity', comment: 'top' });
    await client.addComment({ parent_id: comment.id, comment: 'answer' });
    const { comments } = await client.getComments({ object_id: 'a0', object_type: 'activity' });
    assert.equal(comments[0].text, 'top');
    assert.equal(comments[0].replies[0].text, 'answer');
    recent(comments[0].replies[0].created_at);
    await client.updateComment({ id: comment.id, comment: 'changed' });
    assert.equal((await client.getComment({ id: comment.id })).comment.text, 'changed');
    await client.deleteComment({ id: comment.id });

    const { follow } = await client.follow({ source: 'timeline:alice', target: 'user:alice' });
    assert.equal(follow.status, 'accepted');
    recent(follow.target_feed.created_at);
    const { follows } = await client.queryFollows({ filter: { source_feed: 'timeline:alice' } });
    assert.equal(follows[0].target_feed.feed, 'user:alice');
    const timeline = await client.feed('timeline', 'alice').getOrCreate();
    assert.equal(timeline.activities.length, 5);
    await client.unfollow({ source: 'timeline:alice', target: 'user:alice' });

    const { feeds } = await client.queryFeeds({ filter: { created_by_id: 'alice' } });
    assert.deepEqual(feeds.map((f) => f.feed.feed ?? f.feed).sort(), ['timeline:alice', 'user:alice']);
    await client.deleteActivity({ id: 'a0' });
    await assert.rejects(client.getActivity({ id: 'a0' }), { code: 16 });
    await client.disconnectUser();
  },
});
