package live

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

const (
	tick      = 200 * time.Millisecond // between two messages
	silence   = 2 * time.Second        // after which one is sent even if nothing has happened
	patience  = 10 * time.Second       // for a browser to take one
	firstLook = 1500                   // events that a page begins with
)

// A reader is one page that is open. It fetches what is new at its own pace: one that is slow
// misses events, and holds up no one.
type reader struct {
	next   uint64
	tokens map[string]string // what was sent of each, as JSON
	parts  map[string]string // the same of the rest
	last   time.Time         // when a message was sent
}

// events sends what happens until the browser goes away or the server is closed.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	if no := h.door.mayUse(r); no != nil {
		answer(w, no.status, map[string]string{"error": no.words})
		return
	}
	if h.readers.Add(1) > maxReaders {
		h.readers.Add(-1)
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "too many of these pages are open: close one"})
		return
	}
	defer h.readers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	conn := http.NewResponseController(w)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	rd := &reader{tokens: make(map[string]string), parts: make(map[string]string)}
	for {
		if message := rd.message(h.feed.News(h.subject, rd.next), time.Now()); message != nil {
			_ = conn.SetWriteDeadline(time.Now().Add(patience)) // where there is none, the server's own holds
			if _, err := w.Write(message); err != nil {
				return
			}
			if conn.Flush() != nil {
				return
			}
		}
		select {
		case <-ticker.C: // it drops ticks while a browser is slow
		case <-r.Context().Done():
			return
		case <-h.subject.Done():
			return
		}
	}
}

// message returns what has changed since the last one, or nil if that is nothing.
func (rd *reader) message(n News, now time.Time) []byte {
	if rd.next == 0 && len(n.Events) > firstLook {
		n.Events = n.Events[len(n.Events)-firstLook:]
	}
	rd.next = n.Next
	out := map[string]any{"now": n.Now}
	if len(n.Events) > 0 {
		out["events"] = n.Events
	}
	rd.changed(out, "counts", [2]uint64{n.Counted, n.Shown})
	rd.changed(out, "users", n.Users)
	rd.changed(out, "view", n.View)
	if tokens := rd.changedTokens(n.Tokens); len(tokens) > 0 {
		out["tokens"] = tokens
	}
	if len(out) == 1 && now.Sub(rd.last) < silence {
		return nil
	}
	rd.last = now
	var b bytes.Buffer
	b.WriteString("data: ")
	b.Write(encode(out))
	b.WriteString("\n\n")
	return b.Bytes()
}

func (rd *reader) changed(out map[string]any, name string, part any) {
	b := encode(part)
	if rd.parts[name] != string(b) {
		rd.parts[name] = string(b)
		out[name] = json.RawMessage(b)
	}
}

func (rd *reader) changedTokens(tokens []Token) (changed []json.RawMessage) {
	sent := make(map[string]string, len(tokens)) // a new one, so that nothing is kept of those that are gone
	for _, t := range tokens {
		b := encode(t)
		sent[t.ID] = string(b)
		if rd.tokens[t.ID] != string(b) {
			changed = append(changed, b)
		}
	}
	rd.tokens = sent
	return changed
}

// encode returns JSON without line breaks, as server-sent events need it.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing here is what JSON can't hold
	}
	return b
}
