package main

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// newProxy is the whole of it: what comes in goes out to target through tr, byte for byte and as it
// comes.
func newProxy(target *url.URL, tr *transport.Transport, log *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.URL.RawQuery = r.In.URL.RawQuery // ReverseProxy drops what Go can't parse; here it is for the API to judge
			r.Out.Header.Del("Authorization")      // the program's own; tr puts in the token
		},
		Transport:     tr,
		FlushInterval: -1, // no waiting for more
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the program has hung up
			}
			status := http.StatusBadGateway
			if e, ok := errors.AsType[*transport.RefreshError](err); ok && !e.Permanent {
				status = http.StatusServiceUnavailable
				pause := max(math.Ceil(time.Until(e.NextTry).Seconds()), 1)
				w.Header().Set("Retry-After", strconv.FormatFloat(pause, 'f', 0, 64))
			}
			log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
			http.Error(w, "proxy: "+err.Error(), status)
		},
	}
}

// upstream returns the transport to the API. It leaves encodings alone, so that what the program
// gets is what the API sent, and keeps more connections than a client of many hosts would.
func upstream() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.MaxIdleConnsPerHost = t.MaxIdleConns
	return t
}

// authorizeStream puts the token where Stream wants it.
func authorizeStream(r *http.Request, tok provider.Token) {
	r.Header.Set("Authorization", tok.Value())
	r.Header.Set("Stream-Auth-Type", "jwt")
}
