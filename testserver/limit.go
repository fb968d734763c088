package testserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// A quota is what is left of a rate limit after a call. The zero quota is no limit.
type quota struct {
	limit, remaining int
	reset            time.Time // when a new minute begins, by the server's clock
	wait             time.Duration
}

// limit counts the call against [Server.RateLimit]. s.mu is held.
func (s *Server) limit(c *call) *failure {
	if s.RateLimit <= 0 || c.route.access == tokenEndpoint {
		return nil
	}
	now := s.now()
	minute := now.Truncate(time.Minute)
	if !minute.Equal(s.minute) {
		s.minute, s.calls = minute, memory.Map[int]{}
	}
	who := "user " + c.user
	switch {
	case c.server:
		who = "server"
	case c.user == "":
		who = "nobody"
	}
	key := c.route.op + " by " + who
	n, _ := s.calls.Get(key)
	s.calls.Put(key, n+1, len(key))

	c.quota = quota{limit: s.RateLimit, remaining: max(0, s.RateLimit-n-1), reset: minute.Add(time.Minute)}
	if n < s.RateLimit {
		return nil
	}
	c.quota.wait = c.quota.reset.Sub(now)
	return &failure{
		status: http.StatusTooManyRequests, code: codeRateLimit, inner: "too many requests: the response's headers say when to come back",
	}
}

// setHeader tells the client of the limit, and for how long to stay away if it was exceeded.
func (q quota) setHeader(h http.Header) {
	if q.limit == 0 {
		return
	}
	h.Set("X-Ratelimit-Limit", strconv.Itoa(q.limit))
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(q.remaining))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(q.reset.Unix(), 10))
	if q.wait > 0 {
		h.Set("Retry-After", seconds(q.wait))
	}
}
