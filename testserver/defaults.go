package testserver

import "time"

// The API key and secret of a [Server] that names none. The secret is no secret: it is public.
const (
	DefaultKey    = "stayauth-key"
	DefaultSecret = "stayauth-secret"
)

// DefaultTTL is how long a token lives when [Server.TTL] is 0. It is what Stream's own SDKs use.
const DefaultTTL = time.Hour

func (s *Server) key() string {
	if s.Key == "" {
		return DefaultKey
	}
	return s.Key
}

func (s *Server) secret() []byte {
	if s.Secret == "" {
		return []byte(DefaultSecret)
	}
	return []byte(s.Secret)
}

func (s *Server) ttl() time.Duration {
	if s.TTL == 0 {
		return DefaultTTL
	}
	return s.TTL
}
