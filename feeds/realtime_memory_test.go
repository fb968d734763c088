package feeds_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// What is held for a busy loop takes 8 MiB of memory. Decoded it would take several times as much.
func TestEventsSlowLoopTakesWhatIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, func(ev feeds.Event) bool {
			if ev.Type == feeds.EventConnected {
				time.Sleep(time.Hour)
			}
			return true
		}, "user:alice")
		synctest.Wait()
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		c := a.open(t)
		send := func(i int) {
			// Small things, of which Go's form is much larger than JSON's.
			frame := fmt.Sprintf(`{"type":"feeds.activity.added","fid":"user:alice","activity":{"id":"%d","created_at":%d,"own_reactions":[%s]}}`,
				i, i, strings.TrimSuffix(strings.Repeat("{},", 3000), ","))
			if err := c.Write(context.Background(), websocket.MessageText, []byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		send(0)
		synctest.Wait()
		before := heap()
		const events = 800 // 7.3 MB, of the 8 MiB that are held
		for i := 1; i < events; i++ {
			send(i)
		}
		synctest.Wait()
		if took := int64(heap()) - int64(before); took < 6<<20 || took > 9<<20 {
			t.Errorf("%.1f MiB are held", float64(took)/(1<<20))
		}
		s.Close()
		<-l.done
	})
}
