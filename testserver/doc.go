// Package testserver is an API that logs its users out: it issues, expires and revokes tokens,
// inside your test or as a process. With it you test the whole login life of a client in
// milliseconds.
//
// There are two kinds. A [Guard] stands in front of any handler, asks for Bearer tokens, and is the
// OAuth 2.0 server and the backend that issue them. Most clients are tested with it; its comment
// says how. A [Server] is Stream's API, with its tokens, users and feeds; its comment lists the
// operations and the limits.
//
// The zero value of both is ready. Both are an [http.Handler], for [net/http/httptest] and for real
// ports:
//
//	srv := &testserver.Server{TTL: 2 * time.Second}
//	ts := httptest.NewServer(srv)
//
// and an [http.RoundTripper] without any port, whose connections live in memory. That one works
// inside a [testing/synctest] bubble, where an hour of expiries takes no time:
//
//	client := &http.Client{Transport: srv}
//	defer srv.Close()
//
// A bubble ends only when all of its goroutines have, and each open connection has some. So close
// the body of every response and every socket, and call [Server.Close] inside the bubble. A test
// that leaves something open ends in synctest's "deadlock: all goroutines in bubble are blocked",
// and the message does not say what is open.
//
// # Talking to a Server
//
// A request names the API key in the query, says how it is authenticated, and carries the bare
// token, without the word Bearer:
//
//	GET /api/v2/app?api_key=stayauth-key
//	Stream-Auth-Type: jwt
//	Authorization: eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...
//
// A token that has expired or was revoked is rejected with status 401 and code 40 in the JSON of
// the body. Other codes have the same status, and no new token helps: 2 (API key or auth type), 5
// (no token at all, or one that makes no sense), 41 and 42 (a wrong clock), 43 (a wrong secret).
// The transport of this module needs to know both:
//
//	t := &transport.Transport{
//		Provider:   p,
//		Base:       srv,
//		Authorize:  func(r *http.Request, tok provider.Token) { r.Header.Set("Authorization", tok.Value()) },
//		IsRejected: transport.BodyCode("code", 40),
//	}
//
// Tokens come from [Server.Issue], from the token endpoint POST /token, from POST /api/v2/guest, or
// from your own backend, which signs them with the same secret. They end by their exp claim, by
// [Server.Revoke] and by the API's own revocation calls. [Server.Fault] decides what goes wrong.
//
// # What it tells
//
// The [Ledger] says what has arrived. At the end of a test [Server.Check] names what must never
// happen: a request that took effect twice, a replay with the very token that was rejected, a token
// at a server that must never see one. A replay has the [RequestID] of its request.
//
// [Server.Page] shows all of it in a browser while it happens, with switches to revoke tokens and
// to make things go wrong.
package testserver
