package testserver

import (
	"encoding/json"
	"time"
)

// app is the app's settings.
type app struct {
	disableAuthChecks bool
	cutoff            time.Time // revoke_tokens_issued_before; zero: none
}

func (s *Server) getApp(*call) (object, *failure) {
	var cutoff *int64
	if !s.app.cutoff.IsZero() {
		ns := s.app.cutoff.UnixNano()
		cutoff = &ns
	}
	uploads := object{
		"allowed_file_extensions": []string{}, "allowed_mime_types": []string{},
		"blocked_file_extensions": []string{}, "blocked_mime_types": []string{}, "size_limit": 0,
	}
	return object{"app": object{
		"id": 1, "name": "testserver", "placement": "", "async_url_enrich_enabled": false, "auto_translation_enabled": false,
		"file_upload_config": uploads, "image_upload_config": uploads,
		"disable_auth_checks": s.app.disableAuthChecks, cutoffField: cutoff,
	}}, nil
}

// updateApp changes the two settings that tokens depend on. The many others of the real API are accepted and ignored.
func (s *Server) updateApp(c *call) (object, *failure) {
	var req map[string]json.RawMessage
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	next := s.app
	if raw, ok := req[cutoffField]; ok {
		var f *failure
		if next.cutoff, f = parseCutoff(raw); f != nil {
			return nil, f
		}
	}
	if raw, ok := req["disable_auth_checks"]; ok && json.Unmarshal(raw, &next.disableAuthChecks) != nil {
		return nil, badInput("disable_auth_checks must be true or false")
	}
	s.app = next
	s.recheckSockets()
	s.recordEffect(c)
	return object{}, nil
}
