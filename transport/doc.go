// Package transport keeps an [net/http.Client] logged in to an API whose tokens are short-lived.
//
// Wrap the client's transport and name a token provider:
//
//	client := &http.Client{Transport: &transport.Transport{
//		Provider: provider.Func(func(ctx context.Context) (string, error) { return fetchToken(ctx) }),
//	}}
//
// From then on every request of client carries a live token. Shortly before a token ends, the next one is fetched in the
// background, so that nobody notices. When the API rejects a token all the same, because it was revoked or a clock is wrong,
// the [Transport] holds the requests back, asks the provider once, and sends again what was rejected.
//
// What "rejected" looks like differs between APIs. Without further word it is RFC 6750's 401 with a WWW-Authenticate challenge
// (see [Bearer]); an API that answers a bare 401 needs [Any401], or nothing is ever refreshed for it, and one with error codes of
// its own [BodyCode]. Origins says who
// may have the token, Authorize where it goes in a request. A WebSocket, or whatever else is not a request through the client,
// asks [Transport.Token] for the token and tells [Transport.Reject] when it was rejected.
//
// [Transport.Close] logs out. [Trace], [Stats] and Logger tell what happened at 03:12.
//
// # What the caller gets
//
// A request that could be sent gets its response, as from any RoundTripper. One that needs a token when none can be had gets
// a [*RefreshError]; if that is Permanent the session is over and the user has to log in again, with a new Transport. One
// whose context ends while it waits gets that context's error. A 401 comes back when the classifier did not take it for a
// rejected token, when new tokens were rejected as well, and when the request's body could be sent only once.
//
// # Guarantees
//
// Each of these has tests, which name it by its number.
//
// Refreshing:
//
//  1. At most one refresh is under way, however many requests wait for it, and its waiters share its result, good or bad. An
//     expiry or a revocation costs one refresh: one call of the provider, and more only to retry what failed temporarily.
//  2. The token that was rejected says what needs replacing, not a clock. A late 401 for a token that has been replaced already
//     costs no refresh; its request is replayed at once.
//  3. While a token lives it is refreshed in the background and nobody waits, except a request with a long body that can be
//     sent only once (11). Once a token is known to have ended, requests wait instead of going out to fail.
//  4. A refresh belongs to no request. It has a context of its own, with no values of any caller, and at most RefreshTimeout.
//     A caller that gives up leaves at once with its context's Err; the refresh goes on and its token is kept.
//  5. An early refresh that fails, or brings the same token, changes nothing while the token lives. It is tried once more
//     after half of the life that is left. After a permanent failure nobody asks again, and the session ends with the token.
//  6. An error of the provider is temporary unless it is marked by [provider.Permanent]. Temporary failures are retried with
//     growing, jittered pauses within RefreshTimeout, and not before [provider.RetryAfter] allows. A permanent one ends the
//     session: every waiter and all later requests get the same error, and one event tells of it. After a refresh that
//     failed, requests fail at once with its error for 100 ms, doubling up to 30 s while it keeps failing.
//  7. Dead tokens are paced. Each rejection of the current token is a strike, as is a rejected token that the provider brings
//     again, and an accepted replay ends all strikes. After the second strike the provider is asked no sooner than 0.25 s
//     after the dead token came, then 1, 4, 16 and 30 s. Through the third strike requests wait; after that they go out
//     under the last token, and only one that is rejected as well waits for the next call, if that is due. A request is
//     replayed three times at most, and then gets the last 401, readable. An endpoint that answers 401 to everything so costs
//     one call in 30 s, and the other requests nothing, as long as tokens live longer than that.
//  8. Clocks may be wrong, jump or stop, and tokens may live for 40 ms or for 100 years: each token costs at most one refresh
//     that was not needed or one 401. A token that looks expired when it arrives is used until it is rejected.
//  9. A provider may panic, end its goroutine, return nonsense, never return, or wait for its own client. All who wait get a
//     clear error; no second call starts while the first is under way, and an answer that comes late is kept. None of our
//     time limits shows as context.DeadlineExceeded, which a caller would take for its own.
//
// Replaying:
//
//  10. The body that arrives is the body that was given, or the caller gets an error or the original 401: never a truncated
//     or an empty one, and never two effects.
//  11. A body with GetBody is replayed from a new reader. Without it up to KeepBody bytes are kept while they are sent, never
//     read ahead; a replay starts when Base has closed the first attempt, and gets what was kept and then the rest. Past that
//     limit a body can be sent only once: not under a token that is about to end, and when it is rejected all the same a
//     refresh begins and the caller gets the 401 at once.
//  12. The caller's request is not modified, its body is closed on every path, and Response.Request is the caller's own. A
//     rejected response gives its connection back before anything waits; up to 64 KiB of it, as
//     they come within a second, can still be the answer.
//  13. Only the classifier's word about a 401 refreshes a token.
//
// Security:
//
//  14. The token goes to its origins and nowhere else: not along a redirect to another one, and not when a chain of redirects
//     that left comes back. Over plain http it goes to this machine alone, unless AllowHTTP. A foreign 401 refreshes nothing.
//  15. No token or refresh token is in any error, log line, trace, print or URL.
//  16. What servers and providers send is bounded: 64 KiB of an error body after decompression, 64 KiB of a token.
//
// Cost:
//
//  17. A request under a live token takes no lock and makes three allocations (with up to 7 headers, the default Authorize,
//     and no body or one with GetBody).
//  18. A waiting request costs at most 512 bytes of heap, and 100,000 can wait. MaxWaiting counts all that wait.
//  19. No goroutine outlives its work, save that of a provider that does not return. Nothing runs while nobody asks.
//  20. Close frees all waiters with [ErrClosed]. A request that has its token may finish, is not replayed, and gets its
//     answer as it came. A provider at work is waited for, within RefreshTimeout, so that a rotated token is not lost.
package transport
