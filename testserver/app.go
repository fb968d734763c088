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

// getApp describes the app. Only a server is told how its users' tokens are judged.
func (s *Server) getApp(c *call) (object, *failure) {
	uploads := object{
		"allowed_file_extensions": []string{}, "allowed_mime_types": []string{},
		"blocked_file_extensions": []string{}, "blocked_mime_types": []string{}, "size_limit": maxUpload,
	}
	app := object{
		"id": 1, "name": "testserver", "placement": "", "async_url_enrich_enabled": false, "auto_translation_enabled": false,
		"file_upload_config": uploads, "image_upload_config": uploads,
	}
	if !c.server {
		return object{"app": app}, nil
	}
	for _, name := range []string{
		"allow_multi_user_devices", "campaign_enabled", "disable_permissions_checks", "feed_audit_logs_enabled", "guest_user_creation_disabled",
		"image_moderation_enabled", "member_custom_on_messages_enabled", "moderation_audio_call_moderation_enabled", "moderation_enabled",
		"moderation_llm_configurability_enabled", "moderation_multitenant_blocklist_enabled", "moderation_video_call_moderation_enabled",
		"multi_tenant_enabled", "suspended", "use_hook_v2", "user_response_time_enabled",
	} {
		app[name] = false
	}
	for _, name := range []string{
		"custom_action_handler_url", "moderation_webhook_url", "organization", "sns_key", "sns_secret", "sns_topic_arn", "sqs_key", "sqs_secret",
		"sqs_url", "suspended_explanation", "webhook_url",
	} {
		app[name] = ""
	}
	for _, name := range []string{"event_hooks", "user_search_disallowed_roles", "webhook_events"} {
		app[name] = []any{}
	}
	for _, name := range []string{"call_types", "channel_configs", "grants", "policies", "push_notifications"} {
		app[name] = object{}
	}
	app["cdn_expiration_seconds"], app["reminders_interval"] = 0, 0
	app["max_aggregated_activities_length"] = maxGroup
	app["enforce_unique_usernames"], app["permission_version"] = "no", "v2"
	app["disable_auth_checks"], app[cutoffField] = s.app.disableAuthChecks, nanos(s.app.cutoff)
	return object{"app": app}, nil
}

// updateApp changes the two settings that tokens depend on. The many others of the real API are
// accepted and ignored.
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
