// What bots and apps do with Stream's feeds client for JavaScript, through its own models and state.
import assert from 'node:assert/strict';
import { FeedsClient } from '@stream-io/feeds-client';
import { StreamClient } from '@stream-io/node-sdk';
import { BASE, KEY, SECRET, patience, provider, run, until } from './lib.mjs';

const connect = async (user) => {
  const client = new FeedsClient(KEY, { base_url: BASE, timeout: patience });
  await client.connectUser({ id: user, name: user.toUpperCase() }, provider(user));
  return client;
};

// open returns a feed of the client's user that is watched.
const open = async (client, group, options = {}) => {
  const feed = client.feed(group, client.state.getLatestValue().connected_user.id);
  await feed.getOrCreate({ watch: true, ...options });
  return feed;
};

// next returns what the feed or client is told of next under that name.
const next = (target, type) =>
  new Promise((resolve, reject) => {
    const off = target.on(type, (event) => { off(); resolve(event); });
    setTimeout(() => reject(new Error(`no ${type} within 10 s`)), 10_000).unref();
  });

const leave = (...clients) => Promise.all(clients.map((client) => client.disconnectUser()));

const server = () => new StreamClient(KEY, SECRET, { basePath: BASE, timeout: patience });

run({
  // The story of Stream's own test of notification feeds.
  async notifications() {
    const [alice, bob] = [await connect('alice'), await connect('bob')];
    const [feed, bell] = [await open(alice, 'user'), await open(alice, 'notification')];
    const timeline = await open(bob, 'timeline');
    const { activity } = await feed.addActivity({ type: 'post', text: 'Hello' });
    const told = async (act, unseen) => {
      const event = next(bell, 'feeds.notification_feed.updated');
      await act();
      await event;
      const state = bell.state.getLatestValue();
      assert.equal(state.notification_status.unseen, unseen);
      assert.equal(state.notification_status.unread, unseen);
      assert.equal(state.aggregated_activities.length, unseen);
    };
    const create_notification_activity = true;
    await told(() => timeline.follow(feed.feed, { create_notification_activity }), 1);
    await told(() => bob.addActivityReaction({ activity_id: activity.id, type: 'like', create_notification_activity }), 2);
    await told(() => bob.addComment({ object_id: activity.id, object_type: 'activity', comment: 'Nice', create_notification_activity }), 3);

    const { group } = bell.state.getLatestValue().aggregated_activities[0];
    const events = [next(bell, 'feeds.activity.marked'), next(bell, 'feeds.notification_feed.updated')];
    await bell.markActivity({ mark_read: [group], mark_seen: [group] });
    await Promise.all(events);
    const { notification_status: status } = bell.state.getLatestValue();
    assert.deepEqual([status.unread, status.unseen, status.read_activities], [2, 2, [group]]);

    const read = await bell.getOrCreate({ limit: 2 });
    assert.equal(read.aggregated_activities.length, 2);
    assert.ok(read.aggregated_activities[0].activities[0].notification_context.trigger.text);
    await bell.getNextPage();
    assert.equal(bell.state.getLatestValue().aggregated_activities.length, 3);
    assert.equal(bell.state.getLatestValue().next, undefined);
    await leave(alice, bob);
  },

  async uploads() {
    const alice = await connect('alice');
    const feed = await open(alice, 'user');
    const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
    const text = 'a'.repeat(3 << 20);
    const image = await alice.uploadImage({ file: new File([png], 'dot.png'), upload_sizes: [{ width: 100, height: 100, resize: 'scale', crop: 'center' }] });
    const file = await alice.uploadFile({ file: new File([text], 'notes.txt') });
    assert.equal(image.upload_sizes[0].width, 100);
    for (const [url, want] of [[image.file, png], [image.thumb_url, png], [file.file, Buffer.from(text)]]) {
      const got = await fetch(url);
      assert.equal(got.status, 200);
      assert.ok(Buffer.from(await got.arrayBuffer()).equals(want));
    }
    const { activity } = await feed.addActivity({ type: 'post', attachments: [{ type: 'image', image_url: image.file, custom: {} }] });
    assert.equal(activity.attachments[0].image_url, image.file);
    await alice.deleteFile({ url: file.file });
    assert.equal((await fetch(file.file)).status, 404);
    await assert.rejects(alice.deleteFile({ url: image.file }), { code: 16 });
    await assert.rejects(alice.uploadImage({ file: new File([text], 'notes.png') }), { code: 4 });
    await leave(alice);
  },

  async batch() {
    const alice = await connect('alice');
    const feed = await open(alice, 'user');
    const second = alice.feed('user', 'second');
    await second.getOrCreate();
    const list = (text) => ['1', '2'].map((id) => ({ id, type: 'post', feeds: [feed.feed, second.feed], text: `${text} ${id}` }));
    assert.equal((await alice.upsertActivities({ activities: list('hi') })).activities.length, 2);
    await until('two activities', () => feed.state.getLatestValue().activities.length === 2);
    // The same ids again are updates, and leaving a feed is an event there.
    const removed = next(feed, 'feeds.activity.removed_from_feed');
    const { activities } = await alice.upsertActivities({ activities: list('ho').map((one) => (one.id === '1' ? { ...one, feeds: [second.feed] } : one)) });
    assert.equal(activities[0].text, 'ho 1');
    assert.equal((await removed).activity.id, '1');
    await until('the update', () => feed.state.getLatestValue().activities.map((a) => a.text).join() === 'ho 2');
    const { activity } = await alice.addActivity({ id: '1', type: 'note', feeds: [second.feed] });
    assert.deepEqual([activity.type, activity.text], ['note', undefined]);
    const { deleted_ids } = await alice.deleteActivities({ ids: ['1', '2', 'none'] });
    assert.deepEqual(deleted_ids, ['1', '2']);

    const pair = { source: second.feed, target: feed.feed };
    const first = await alice.getOrCreateFollows({ follows: [pair] });
    assert.deepEqual([first.created.length, first.follows.length], [1, 1]);
    const again = await alice.getOrCreateFollows({ follows: [pair] });
    assert.deepEqual([again.created.length, again.follows.length], [0, 1]);
    assert.equal((await alice.getOrCreateFollow(pair)).created, false);
    await assert.rejects(alice.followBatch({ follows: [pair] }), { code: 4 });
    assert.equal((await alice.getOrCreateUnfollow(pair)).deleted, true);
    assert.equal((await alice.getOrCreateUnfollow(pair)).deleted, false);
    assert.equal((await alice.followBatch({ follows: [pair] })).created.length, 1);
    assert.equal((await alice.getOrCreateUnfollows({ follows: [pair, pair] })).follows.length, 1);
    await leave(alice);
  },

  // What is private is not read by others, and a followers' feed by those who were accepted.
  async privacy() {
    const [alice, bob] = [await connect('alice'), await connect('bob')];
    const diary = await open(alice, 'diary', { data: { visibility: 'private' } });
    await diary.addActivity({ type: 'post', id: 'secret' });
    const own = await bob.feed('diary', 'alice').getOrCreate().catch((error) => error);
    assert.equal(own.code, 17);
    await assert.rejects(bob.getActivity({ id: 'secret' }), { code: 17 });
    await assert.rejects(bob.addComment({ object_id: 'secret', object_type: 'activity', comment: 'x' }), { code: 17 });
    assert.deepEqual((await bob.queryFeeds({ filter: { group_id: 'diary' } })).feeds, []);
    assert.deepEqual((await bob.queryActivities({ filter: { feed: 'diary:alice' } })).activities, []);
    assert.equal((await alice.queryActivities({ filter: { feed: 'diary:alice' } })).activities.length, 1);

    const club = await open(alice, 'club', { data: { visibility: 'followers' } });
    await club.addActivity({ type: 'post', text: 'for followers' });
    const timeline = await open(bob, 'timeline');
    const { follow } = await timeline.follow(club.feed);
    assert.equal(follow.status, 'pending');
    await assert.rejects(bob.feed('club', 'alice').getOrCreate(), { code: 17 });
    await assert.rejects(bob.acceptFollow({ source: timeline.feed, target: club.feed }), { code: 17 });
    const updated = next(timeline, 'feeds.follow.updated');
    const accepted = await alice.acceptFollow({ source: timeline.feed, target: club.feed, follower_role: 'feed_member' });
    assert.deepEqual([accepted.follow.status, accepted.follow.follower_role], ['accepted', 'feed_member']);
    await updated;
    assert.equal((await bob.feed('club', 'alice').getOrCreate()).activities.length, 1);
    assert.equal((await timeline.getOrCreate()).activities[0].text, 'for followers');
    await alice.rejectFollow({ source: timeline.feed, target: club.feed });
    assert.equal((await timeline.getOrCreate()).activities.length, 0);

    // Anybody may post to what is public, and nobody but its owner to what is visible.
    await open(alice, 'wall', { data: { visibility: 'public' } });
    const wall = bob.feed('wall', 'alice');
    await wall.addActivity({ type: 'post', text: 'hello' });
    assert.ok((await wall.getOrCreate()).feed.own_capabilities.includes('add-activity'));
    await open(alice, 'user');
    await assert.rejects(bob.feed('user', 'alice').addActivity({ type: 'post' }), { code: 17 });
    assert.ok(!(await bob.feed('user', 'alice').getOrCreate()).feed.own_capabilities.includes('add-activity'));
    await leave(alice, bob);
  },

  async feeds() {
    const alice = await connect('alice');
    const created = next(alice, 'feeds.feed.created');
    const feed = await open(alice, 'user', { data: { name: 'Mine', visibility: 'public', custom: { color: 'red' } } });
    assert.equal((await created).feed.custom.color, 'red');
    const updated = next(feed, 'feeds.feed.updated');
    await feed.update({ custom: { color: 'blue' } });
    assert.equal((await updated).feed.custom.color, 'blue');
    assert.equal(feed.state.getLatestValue().name, 'Mine');
    await feed.stopWatching();
    let heard = 0;
    feed.on('feeds.activity.added', () => { heard += 1; });
    await feed.addActivity({ type: 'post' });
    await feed.getOrCreate({ watch: true });
    const seen = next(feed, 'feeds.activity.added');
    await alice.addActivity({ type: 'post', feeds: [feed.feed], id: 'heard' });
    assert.equal((await seen).activity.id, 'heard');
    assert.equal(heard, 1);
    const deleted = next(feed, 'feeds.feed.deleted');
    await feed.delete({ hard_delete: true });
    await deleted;
    await assert.rejects(alice.getActivity({ id: 'heard' }), { code: 16 });
    await leave(alice);
  },

  async members() {
    const [alice, bob] = [await connect('alice'), await connect('bob')];
    const feed = await open(alice, 'team', { data: { visibility: 'members' } });
    const theirs = bob.feed('team', 'alice');
    await assert.rejects(theirs.getOrCreate(), { code: 17 });
    const added = next(feed, 'feeds.feed_member.added');
    const invited = await feed.updateFeedMembers({ operation: 'upsert', members: [{ user_id: 'bob', invite: true, custom: { n: 1 } }] });
    assert.deepEqual([invited.added[0].role, invited.added[0].status], ['feed_member', 'pending']);
    await added;
    await assert.rejects(theirs.getOrCreate(), { code: 17 });
    const { member } = await theirs.acceptFeedMemberInvite();
    assert.ok(member.invite_accepted_at instanceof Date);
    assert.equal((await theirs.getOrCreate()).feed.own_membership.status, 'member');
    const { members } = await feed.queryFeedMembers({ filter: { user_id: 'bob', status: 'member' } });
    assert.equal(members[0].user.name, 'BOB');
    await theirs.addActivity({ type: 'post', text: 'as a member' });
    const removed = next(feed, 'feeds.feed_member.removed');
    assert.deepEqual((await feed.updateFeedMembers({ operation: 'set', members: [] })).removed_ids, ['bob']);
    assert.equal((await removed).member_id, 'bob');
    await leave(alice, bob);
  },

  async bookmarks() {
    const alice = await connect('alice');
    const feed = await open(alice, 'user');
    const { activity } = await feed.addActivity({ type: 'post', text: 'x' });
    const event = next(alice, 'feeds.bookmark.added');
    await alice.addBookmark({ activity_id: activity.id });
    assert.equal((await event).bookmark.activity.id, activity.id);
    const mine = () => feed.state.getLatestValue().activities[0].own_bookmarks;
    await until('the bookmark', () => mine().length === 1);
    const { bookmark } = await alice.updateBookmark({ activity_id: activity.id, new_folder: { name: 'Recipes', custom: { icon: '📂' } }, custom: { color: 'blue' } });
    assert.equal(bookmark.folder.name, 'Recipes');
    assert.deepEqual(bookmark.custom, { color: 'blue' });
    assert.equal((await alice.queryBookmarks({ filter: { folder_id: bookmark.folder.id } })).bookmarks.length, 1);
    assert.equal((await alice.queryBookmarkFolders({ filter: { folder_name: { $contains: 'ecip' } } })).bookmark_folders.length, 1);
    await alice.updateBookmarkFolder({ folder_id: bookmark.folder.id, name: 'Sweets' });
    assert.equal((await alice.getActivity({ id: activity.id })).activity.own_bookmarks[0].folder.name, 'Sweets');
    await alice.deleteBookmark({ activity_id: activity.id, folder_id: bookmark.folder.id });
    assert.deepEqual((await alice.getActivity({ id: activity.id })).activity.own_bookmarks, []);
    await alice.deleteBookmarkFolder({ folder_id: bookmark.folder.id });
    await leave(alice);
  },

  async comments() {
    const [alice, bob] = [await connect('alice'), await connect('bob')];
    const feed = await open(alice, 'user');
    const { activity } = await feed.addActivity({ type: 'post' });
    const add = async (comment, parent_id) => (await alice.addComment({ object_id: activity.id, object_type: 'activity', comment, parent_id })).comment;
    const [first, second] = [await add('first'), await add('oat second')];
    await add('reply', first.id);
    const reacted = next(feed, 'feeds.comment.reaction.added');
    for (const client of [alice, bob]) await client.addCommentReaction({ id: second.id, type: 'upvote' });
    assert.equal((await reacted).comment.id, second.id);
    await bob.addCommentReaction({ id: first.id, type: 'downvote' });
    const read = async (sort) => (await bob.getComments({ object_id: activity.id, object_type: 'activity', sort })).comments;
    for (const sort of ['top', 'best']) assert.deepEqual((await read(sort)).map((c) => c.text), ['oat second', 'first'], sort);
    assert.equal((await read('first'))[0].replies[0].text, 'reply');
    assert.equal((await read('first'))[0].own_reactions[0].type, 'downvote');
    assert.equal((await bob.getCommentReplies({ id: first.id })).comments[0].text, 'reply');
    assert.equal((await bob.queryComments({ filter: { comment_text: { $q: 'oat' } } })).comments[0].id, second.id);
    assert.equal((await bob.queryCommentReactions({ id: second.id, filter: { user_id: 'alice' } })).reactions.length, 1);
    await alice.updateCommentPartial({ id: first.id, set: { text: 'changed', 'custom.n': 1 } });
    assert.deepEqual((await bob.getComment({ id: first.id })).comment.custom, { n: 1 });
    await bob.deleteCommentReaction({ id: first.id, type: 'downvote' });
    await feed.loadNextPageActivityComments(activity, { sort: 'best', limit: 1 });
    assert.equal(feed.state.getLatestValue().comments_by_entity_id[activity.id].comments.length, 1);
    await alice.addActivityReaction({ activity_id: activity.id, type: 'like' });
    assert.equal((await bob.queryActivityReactions({ activity_id: activity.id, filter: { reaction_type: 'like' } })).reactions[0].user.id, 'alice');
    await leave(alice, bob);
  },

  async pins() {
    const alice = await connect('alice');
    const feed = await open(alice, 'user');
    const { activity } = await feed.addActivity({ type: 'post' });
    const pin = { feed_group_id: feed.group, feed_id: feed.id, activity_id: activity.id };
    const event = next(feed, 'feeds.activity.pinned');
    await alice.pinActivity(pin);
    assert.equal((await event).pinned_activity.activity.id, activity.id);
    assert.equal((await feed.getOrCreate()).pinned_activities[0].activity.id, activity.id);
    assert.equal((await feed.queryPinnedActivities()).pinned_activities.length, 1);
    await alice.unpinActivity(pin);
    assert.equal((await feed.getOrCreate()).pinned_activities.length, 0);
    await leave(alice);
  },

  // A backend that acts for its users, and dates in a zone of their own.
  async server() {
    const { feeds } = server();
    await feeds.feed('user', 'alice').getOrCreate({ user_id: 'alice' });
    // A whole second: the client divides nanoseconds as doubles, and one millisecond in eight comes out as the one before.
    const soon = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000);
    const { activity } = await feeds.addActivity({ type: 'post', feeds: ['user:alice'], text: 'one', user_id: 'alice', expires_at: soon.toISOString().replace('Z', '+00:00') });
    assert.equal(activity.expires_at.getTime(), soon.getTime());
    await feeds.addActivityReaction({ activity_id: activity.id, type: 'like', user_id: 'bob' });
    assert.equal((await feeds.getActivity({ id: activity.id })).activity.own_reactions.length, 0);
    const read = await feeds.queryActivities({ filter: { popularity: { $gte: 1 }, text: { $q: 'one' } }, sort: [{ field: 'popularity', direction: -1 }], user_id: 'bob' });
    assert.equal(read.activities[0].own_reactions[0].type, 'like');
    const full = await feeds.updateActivity({ id: activity.id, user_id: 'alice', custom: { n: 1 } });
    assert.deepEqual([full.activity.text, full.activity.expires_at, full.activity.custom], [undefined, undefined, { n: 1 }]);
    const { activities } = await feeds.updateActivitiesPartialBatch({ changes: [{ activity_id: activity.id, set: { text: 'two' }, unset: ['custom.n'] }] });
    assert.equal(activities[0].text, 'two');
    const { feeds: made } = await feeds.createFeedsBatch({ feeds: [{ feed_group_id: 'user', feed_id: 'bob', created_by_id: 'bob', visibility: 'followers' }] });
    assert.equal(made[0].visibility, 'followers');
    await feeds.feed('timeline', 'alice').getOrCreate({ user_id: 'alice' });
    assert.equal((await feeds.follow({ source: 'timeline:alice', target: 'user:bob', status: 'accepted' })).follow.status, 'accepted');
    await assert.rejects(feeds.listFeedGroups(), { code: 16 });
    await feeds.deleteFeedsBatch({ feeds: ['user:alice', 'user:bob'] });
    await assert.rejects(feeds.getActivity({ id: activity.id }), { code: 16 });
  },
});
