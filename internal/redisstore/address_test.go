package redisstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAURLNamesOneRedisSentinelsOrACluster(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]string{
		"redis://u:p@h:1/2":                              {"single", "h:1", "u", "p"},
		"rediss://h":                                     {"single tls", "h:6379", "", ""},
		"redis+sentinel://h1,h2:7/main":                  {"sentinel main", "h1:26379 h2:7", "", ""},
		"redis+sentinel://u:p%40@h1/main/3":              {"sentinel main 3", "h1:26379", "u", "p@"},
		"rediss+sentinel://:p@h1,[::1]:5/main":           {"sentinel main tls", "h1:26379 [::1]:5", "", "p"},
		"redis-sentinel://h1/m?sentinel_password=s":      {"sentinel m s", "h1:26379", "", ""},
		"redis+cluster://u:p@h1,h2:7":                    {"cluster", "h1:6379 h2:7", "u", "p"},
		"rediss+cluster://h1/0?dial_timeout=3s":          {"cluster tls", "h1:6379", "", ""},
		"redis-cluster://10.0.0.1:7000,10.0.0.2:7000":    {"cluster", "10.0.0.1:7000 10.0.0.2:7000", "", ""},
		"REDIS+CLUSTER://h1":                             {"cluster", "h1:6379", "", ""},
		"redis+sentinel://h1,h2,h3/main?dial_timeout=2s": {"sentinel main", "h1:26379 h2:26379 h3:26379", "", ""},
	} {
		got, err := parseURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if diff := cmp.Diff(want, describe(got)); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
	}
}

func describe(t target) []string {
	words := []string{"single"}
	switch {
	case t.sentinel != nil:
		o := t.sentinel
		words = []string{"sentinel", o.MasterName}
		if o.DB != 0 {
			words = append(words, string(rune('0'+o.DB)))
		}
		if o.SentinelPassword != "" {
			words = append(words, o.SentinelPassword)
		}
		if o.TLSConfig != nil {
			words = append(words, "tls"+o.TLSConfig.ServerName)
		}
		return []string{strings.Join(words, " "), strings.Join(o.SentinelAddrs, " "), o.Username, o.Password}
	case t.cluster != nil:
		o := t.cluster
		words = []string{"cluster"}
		if o.TLSConfig != nil {
			words = append(words, "tls"+o.TLSConfig.ServerName)
		}
		return []string{strings.Join(words, " "), strings.Join(o.Addrs, " "), o.Username, o.Password}
	}
	if t.single.TLSConfig != nil {
		words = append(words, "tls")
	}
	return []string{strings.Join(words, " "), t.single.Addr, t.single.Username, t.single.Password}
}

func TestABadURLIsToldWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"localhost:6379":                       "it has no scheme",
		"http://h":                             `the scheme "http" is not known`,
		"redis+ring://h":                       `the scheme "redis+ring" is not known`,
		"redis://u:secret@h1,h2":               "it names several hosts: write redis+cluster://",
		"redis://h1?addr=h2:1":                 "it names several hosts by options",
		"redis://u:sec/ret@h:1":                "in user and password write",
		"redis://h/x":                          "invalid database number",
		"redis+sentinel://h1,h2":               "it does not name the master",
		"redis+sentinel://h1/main/x":           `the database "x" is no number`,
		"redis+sentinel://h1:99999/main":       "is no number from 1 to 65535",
		"redis+sentinel://u:sec/ret@h1/main":   "in user and password write",
		"redis+sentinel://u:sec%zzret@h1/main": "in user and password write",
		"redis+cluster://h1,,h2":               `the host "" is not understood`,
		"redis+cluster://::1":                  "an IPv6 address stands in [ ]",
		"redis+cluster://u:secret@h1/2":        "a Cluster has database 0 only",
		"redis+cluster://h1?read_only=true":    "it asks masters only",
		"redis+cluster://h1?nonsense=1":        "unexpected option: nonsense",
		"redis+cluster://":                     `the host "" is not understood`,
	} {
		_, err := Open(t.Context(), Config{URL: raw})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %s", raw, err, want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ret@") {
			t.Errorf("%s: the error shows the password: %v", raw, err)
		}
	}
}

func TestAMaskedURLShowsNoPassword(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"redis://h:1/2":                            "redis://h:1/2",
		"redis://u@h":                              "redis://u@h",
		"redis://:s3@h":                            "redis://:xxxxx@h",
		"redis://u:s/3@x?@h:1/0":                   "redis://u:xxxxx@h:1/0",
		"unix:///tmp/redis.sock":                   "unix:///tmp/redis.sock",
		"redis+cluster://u:s3@h1:1,h2:2":           "redis+cluster://u:xxxxx@h1:1,h2:2",
		"redis+sentinel://u:s3@h1,h2/m/1":          "redis+sentinel://u:xxxxx@h1,h2/m/1",
		"redis+sentinel://h/m?sentinel_password=s": "redis+sentinel://h/m?sentinel_password=xxxxx",
		"no url": "(unreadable URL)",
	} {
		if got := Masked(raw); got != want {
			t.Errorf("%s is masked as %s, want %s", raw, got, want)
		}
	}
}
