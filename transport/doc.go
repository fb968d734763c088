// Package transport keeps an [net/http.Client] logged in to an API whose tokens are short-lived.
//
//	client := &http.Client{Transport: &transport.Transport{
//		Provider: provider.Func(func(ctx context.Context) (string, error) { return fetchToken(ctx) }),
//	}}
//
// Each request of client now carries a valid token. Shortly before a token ends the next one is
// fetched in the background. When the API rejects a token all the same, the [Transport] holds the
// requests back, asks the provider once, and replays what was rejected.
//
// By default a 401 with a Bearer challenge is a rejection; for other APIs set IsRejected. For a
// WebSocket use [Transport.Token] and [Transport.Reject]. [Transport.Close] logs out. A request
// that needs a token when there is none gets a [*RefreshError]; if it is Permanent the session is
// over. [Stats], [Trace] and Logger tell what happened; LOG.md beside the source shows the log.
//
// # Guarantees
//
// Each has tests that name it by its number.
//
//  1. However many requests wait, one refresh is under way, and all share its result.
//  2. A late rejection of a token that was replaced costs no refresh.
//  3. While a token is valid no request waits; when it is not, requests wait instead of going out to fail.
//  4. A refresh belongs to no request: a caller that gives up leaves at once; the others get the token.
//  5. An early refresh that fails changes nothing while the token is valid.
//  6. Temporary failures are retried within RefreshTimeout; a permanent one ends the session, and is told once.
//  7. An API that rejects every token costs ever fewer calls of the provider, down to one in 30 seconds.
//  8. A wrong clock, or a life of any length, costs each token at most one refresh or rejection.
//  9. A provider that panics, hangs or returns nonsense is a clear error, and is never called twice at once.
//  10. A body arrives as it was given, once, or the caller is told.
//  11. A body with GetBody, one that can seek, and the first 64 KiB of any other can be replayed.
//  12. The caller's request is not changed; a rejected response that is handed on has its true length.
//  13. A response refreshes a token only if IsRejected says so.
//  14. The token goes to its origins and nowhere else, whatever redirects say.
//  15. No token is in an error, a log line, a trace or a URL.
//  16. What servers and providers send is bounded, in size and in time.
//  17. A request under a valid token takes no lock and makes three allocations.
//  18. A request that waits costs at most 512 bytes of heap, its rejected response included when many wait.
//  19. Nothing runs while no request comes, and no goroutine outlives its work.
//  20. After Close nothing is sent, and a refresh token that was just rotated is not lost.
//
// DESIGN.md beside the source has the numbers behind these, and the state machine that keeps them,
// as a table.
package transport
