package live

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"sync/atomic"
)

//go:embed assets
var assets embed.FS

const (
	maxReaders = 16       // pages that are open at a time
	maxAction  = 64 << 10 // bytes
)

// A Handler serves the page, relative to wherever it is mounted:
//
//	GET  /          the page, and its files beside it
//	GET  /events    what happens, as server-sent events
//	POST /act       an [Action] as JSON
type Handler struct {
	feed    *Feed
	subject Subject
	door    door
	mux     *http.ServeMux
	readers atomic.Int32
}

// NewHandler returns the page about a test server. An empty key lets in this machine alone.
func NewHandler(f *Feed, s Subject, key string) *Handler {
	h := &Handler{feed: f, subject: s, door: door{key: key}, mux: http.NewServeMux()}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // not with a folder that is there
	}
	h.mux.Handle("GET /", typed(http.FileServerFS(files)))
	h.mux.HandleFunc("GET /events", h.events)
	h.mux.HandleFunc("POST /act", h.act)
	return h
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if no := h.door.mayEnter(r); no != nil {
		http.Error(w, no.words, no.status)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// types are those of the page's files. A machine may have others in its settings, with which a
// browser would not run the scripts.
var types = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func typed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t, ok := types[path.Ext(r.URL.Path)]; ok {
			w.Header().Set("Content-Type", t)
		}
		next.ServeHTTP(w, r)
	})
}

// act turns a switch.
func (h *Handler) act(w http.ResponseWriter, r *http.Request) {
	if no := h.door.mayUse(r); no != nil {
		answer(w, no.status, map[string]string{"error": no.words})
		return
	}
	if r.Header.Get("Content-Type") != "application/json" {
		answer(w, http.StatusUnsupportedMediaType, map[string]string{"error": "an action is application/json"})
		return
	}
	a, err := read(http.MaxBytesReader(w, r.Body, maxAction))
	var value string
	if err == nil {
		if a.Do == "clock" {
			h.feed.clockMoved()
		}
		value, err = h.subject.Do(a)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"value": value})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the browser has gone
}
