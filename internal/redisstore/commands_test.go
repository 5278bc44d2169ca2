package redisstore_test

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// recorder notes the commands that the tests of this package send.
type recorder struct {
	mu       sync.Mutex
	commands map[string]bool
}

var seen recorder

// DialHook changes nothing.
func (*recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook notes a command.
func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.note(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook notes the commands of a pipeline.
func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.note(cmds...)
		return next(ctx, cmds)
	}
}

func (r *recorder) note(cmds ...redis.Cmder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.commands == nil {
		r.commands = map[string]bool{}
	}
	for _, c := range cmds {
		name := strings.ToUpper(c.Name())
		switch name {
		case "HELLO", "CLIENT", "AUTH", "SELECT", "KEYS", "TTL", "CONFIG": // the library's when it connects, and the tests' own
			continue
		case "XGROUP", "CLUSTER", "XINFO", "MEMORY":
			if sub, ok := c.Args()[1].(string); ok {
				name += "|" + strings.ToUpper(sub)
			}
		}
		r.commands[name] = true
	}
}

var call = regexp.MustCompile(`(?:redis\.call|each)\('([A-Z]+)'`)

// names are the commands that were sent and those of the script.
func (r *recorder) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := maps.Clone(r.commands)
	for _, name := range []string{"scripts/forget.lua", "scripts/release.lua", "scripts/group.lua", "scripts/rate.lua"} {
		script, err := os.ReadFile(name)
		if err != nil {
			return []string{err.Error()}
		}
		for _, m := range call.FindAllStringSubmatch(string(script), -1) {
			if m[1] != "XGROUP" { // there with its second word
				all[m[1]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// documented are the commands that docs/operations.md names.
func documented() []string {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		return []string{err.Error()}
	}
	_, list, _ := strings.Cut(string(text), "<!-- commands -->\n")
	list, _, _ = strings.Cut(list, "\n<!-- end -->")
	return strings.Fields(strings.NewReplacer("`", "", ",", "", ".", "").Replace(list))
}
