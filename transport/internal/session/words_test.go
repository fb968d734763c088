package session_test

import (
	"fmt"

	"github.com/stayauth/stayauth/transport/internal/session"
)

func verdict(n session.Need, v session.Verdict) string {
	switch {
	case v.View != nil && v.View == n.Sent:
		return "its answer stands"
	case v.View != nil && v.Wait:
		return "it would rather wait than go under " + v.View.Token.Value()
	case v.View != nil:
		return "goes under " + v.View.Token.Value()
	case v.Wait:
		return "waits"
	}
	return "fails: " + failure(v.Err)
}

func failure(err error) string {
	e, ok := err.(*session.Error)
	switch {
	case !ok:
		return err.Error()
	case e.Permanent:
		return e.Error() + ", for good"
	case !e.NextTry.IsZero():
		return fmt.Sprintf("%s; next try at %s", e.Error(), e.NextTry.Format("15:04:05.999"))
	}
	return e.Error()
}

func outcome(d *session.Done) string {
	switch {
	case d.View != nil && d.Err != nil:
		return "under " + d.View.Token.Value() + ", or, if that won't do: " + failure(d.Err)
	case d.View != nil:
		return "under " + d.View.Token.Value()
	}
	return failure(d.Err)
}

func told(e any) string {
	switch e := e.(type) {
	case session.Started:
		return fmt.Sprintf("told: a refresh begins (%s)", e.Reason)
	case session.Retrying:
		return fmt.Sprintf("told: attempt %d failed, the next comes in %s", e.Attempt, e.RetryIn)
	case session.Slow:
		return fmt.Sprintf("told: the provider was called %s ago", e.Ago)
	case session.Ended:
		return "told: the session has ended"
	case session.Refreshed:
		switch {
		case e.Err != nil && e.Ended:
			return "told: the refresh failed, and the session has ended"
		case e.Err != nil && e.Err.Permanent:
			return "told: the refresh failed for good, the session ends with its token"
		case e.Err != nil:
			return fmt.Sprintf("told: the refresh failed after %s: %s", e.Duration, failure(e.Err))
		case e.Again:
			return "told: the provider has brought the rejected token again, and is asked again"
		case e.Unchanged:
			return "told: the token is the same"
		case e.Expiry.IsZero():
			return fmt.Sprintf("told: a new token (%s) after %s, its end is not known", e.Reason, e.Duration)
		}
		return fmt.Sprintf("told: a new token (%s) after %s, it ends at %s", e.Reason, e.Duration, e.Expiry.Format("15:04:05.999"))
	}
	return fmt.Sprintf("told: %+v", e)
}
