package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Watch implements [shared.Watcher], by a subscription: a connection of its own for as long as it
// waits.
func (s *Store) Watch(ctx context.Context, key string, version uint64) error {
	_, err := obey(ctx, "watching", func() (struct{}, error) { return struct{}{}, s.watch(ctx, key, version) })
	return err
}

// watch ends when the change comes or some time after ctx has ended: dialling the server, and
// taking leave of it, has the client's limits only.
func (s *Store) watch(ctx context.Context, key string, version uint64) error {
	if s.Client == nil {
		return errNoClient
	}
	subscription := s.Client.Subscribe(ctx, s.name(key))
	defer subscription.Close()
	messages := subscription.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-messages:
			switch m := m.(type) {
			case *redis.Subscription: // also after the connection was lost: what was missed?
				if _, found, err := s.Load(ctx, key); err != nil || found != version {
					return err
				}
			case *redis.Message:
				if m.Payload != strconv.FormatUint(version, 10) {
					return nil
				}
			default: // closed
				return errors.New("the subscription has ended")
			}
		}
	}
}

// ageScript returns for how long, in microseconds, the record has been at version ARGV[1], by the
// server's own clock.
var ageScript = newScript(`
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then
	return '0'
end
local time = redis.call('TIME')
return string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]) - tonumber(ARGV[1]))
`)

// Age implements [shared.Ager]. A version is the server's time, so it needs to keep none. After a
// failover to a server whose clock is ahead it may say too much, of records that are older than the
// failover; a Login lets the holder speak up before it believes that.
func (s *Store) Age(ctx context.Context, key string, version uint64) (time.Duration, error) {
	return obey(ctx, "asking for the age", func() (time.Duration, error) {
		if s.Client == nil {
			return 0, errNoClient
		}
		age, err := s.run(ctx, ageScript, key, strconv.FormatUint(version, 10)).Int64()
		return max(0, time.Duration(age)*time.Microsecond), err
	})
}
