package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

// TestABadlySetUpRedisIsRefused: an orchestrator does not begin on a Redis that
// would throw runs away, or under a user who may not do what is needed; the
// doctor says what to do, and all is well when it was done.
func TestABadlySetUpRedisIsRefused(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 0, 0)
	h.redisCLI("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	h.redisCLI("ACL", "SETUSER", "poor", "on", ">poor", "~*", "+@all", "-xclaim", "-zadd")
	if code, log := h.ends("o1"); code != 2 || !strings.Contains(log, "noeviction") {
		t.Errorf("an orchestrator on an evicting Redis: exit code %d\n%s", code, log)
	}
	if levels := h.doctor(); levels["eviction"] != "fatal" || levels["permissions"] != "ok" || levels["persistence"] != "warning" {
		t.Errorf("the doctor finds %v", levels)
	}
	h.redisCLI("CONFIG", "SET", "maxmemory-policy", "noeviction")
	good := h.redis.URL
	h.redis.URL = strings.Replace(good, "unix://", "unix://poor:poor@", 1)
	if code, log := h.ends("o2"); code != 2 || !strings.Contains(log, "XCLAIM, ZADD") {
		t.Errorf("an orchestrator without permissions: exit code %d\n%s", code, log)
	}
	h.redis.URL = good
	h.start("o3", "orchestrator")
	h.start("w1", "worker")
	h.succeeded(h.submit(client.Request{Definition: "jobs:\n  a: {job: exec, inputs: {command: 'true'}}\n"}))
	if levels := h.doctor(); levels["eviction"] != "ok" || levels["version"] != "ok" {
		t.Errorf("the doctor finds %v", levels)
	}
	if left := h.redisCLI("KEYS", "*doctor*"); left != "" {
		t.Errorf("the doctor leaves %s", left)
	}
}

// ends starts an orchestrator that is expected to end by itself.
func (h *house) ends(name string) (code int, log string) {
	h.t.Helper()
	h.start(name, "orchestrator")
	p := h.procs[name]
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode(), p.log.String()
}

// doctor returns the levels of what the doctor finds.
func (h *house) doctor() map[string]string {
	h.t.Helper()
	out, _ := h.orchis("doctor", "-o", "json")
	var all []client.Finding
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		h.t.Fatal(err, out)
	}
	levels := map[string]string{}
	for _, f := range all {
		levels[f.Name] = f.Level
	}
	return levels
}
