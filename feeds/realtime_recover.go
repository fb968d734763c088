package feeds

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
)

const readers = 8 // feeds that are read at once

// readFeeds reads feeds for news, several at once and within the API's rate limit, and gives each
// feed what it finds there. With watch, k watches the feeds from then on.
//
// Feeds that could not be read are tried again, as long as each round reads at least one of them.
// What was found in one feed is kept if the connection breaks while others are read.
func (st *stream) readFeeds(k *socket, feeds []*watched, watch bool) error {
	var todo []*reading
	for _, w := range feeds {
		r := &reading{stream: st, w: w, only: !st.began, limit: pageSize, old: make(map[string]bool), have: make(map[string]bool)}
		if watch {
			r.connection = k.id
		}
		for _, f := range w.missed {
			r.old[f.id] = true
		}
		todo = append(todo, r)
	}
	defer func() {
		for _, r := range todo {
			st.held.Add(-r.bytes) // what these have found is dropped: they were not read to the end
		}
	}()
	for {
		left, err := st.readAtOnce(k.ctx, todo)
		progress := len(left) < len(todo)
		todo = left
		switch {
		case len(left) == 0:
			return nil
		case k.ctx.Err() != nil:
			return context.Cause(k.ctx)
		case !progress || !worthAnother(err):
			return err
		}
		st.log(slog.LevelWarn, "events: some feeds could not be read, will try them again", "feeds", len(left), "err", err)
		if err := sleep(k.ctx, firstPause); err != nil {
			return err
		}
	}
}

// readAtOnce runs the readings with a few goroutines, which end before it returns. It returns those
// that are left, and why. After an error that another try can't cure it returns at once, with that
// error.
func (st *stream) readAtOnce(ctx context.Context, todo []*reading) (left []*reading, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var taken atomic.Int64
	var mu sync.Mutex // guards err
	var working sync.WaitGroup
	for range min(readers, len(todo)) {
		working.Go(func() {
			for ctx.Err() == nil {
				i := int(taken.Add(1)) - 1
				if i >= len(todo) {
					return
				}
				failed := todo[i].run(ctx)
				if failed == nil {
					continue
				}
				mu.Lock()
				if ctx.Err() == nil {
					err = failed
					if !worthAnother(failed) {
						stop()
					}
				}
				mu.Unlock()
			}
		})
	}
	working.Wait()
	return slices.DeleteFunc(todo, func(r *reading) bool { return r.done }), err
}

// worthAnother reports whether a feed that could not be read because of err can perhaps be read in
// a moment, over the same connection.
func worthAnother(err error) bool {
	if IsSessionOver(err) {
		return false
	}
	e, ok := err.(*Error)
	return !ok || e.StatusCode/100 != 4 || e.Code == 0 || e.Code == CodeTokenExpired
}
