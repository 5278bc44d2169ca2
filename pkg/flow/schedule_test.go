package flow

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, wherever they run
)

// TestSchedulesKnowSummerTime: what fixed hours, and every hour, mean where the
// clocks are changed.
func TestSchedulesKnowSummerTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cron, zone, from string
		want                   []string
	}{
		{"the hour that is left out", "30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"the hour that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"between the two", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", []string{"2026-10-26T01:30:00Z"}},
		{"every hour in spring", "0 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
		{"every hour in autumn", "0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		{"New York, left out", "30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", []string{"2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"}},
		{"New York, twice", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"half an hour, left out", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", []string{"2026-10-03T15:45:00Z", "2026-10-04T15:15:00Z"}},
		{"before the change on the day", "0 1 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z"}},
		{"after the change on the day", "0 9 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T07:00:00Z"}},
		{"UTC", "15 2 * * 1-5", "UTC", "2026-11-20T03:00:00Z", []string{"2026-11-23T02:15:00Z"}},
		{"once a year", "@yearly", "UTC", "2026-11-20T03:00:00Z", []string{"2027-01-01T00:00:00Z"}},
		{"never", "0 0 30 2 *", "UTC", "2026-11-20T03:00:00Z", []string{"0001-01-01T00:00:00Z"}},
	}
	for _, test := range tests {
		at, err := time.Parse(time.RFC3339, test.from)
		if err != nil {
			t.Fatal(err)
		}
		s := Schedule{Cron: test.cron, Timezone: test.zone}
		for _, want := range test.want {
			at = s.Next(at)
			if got := at.UTC().Format(time.RFC3339); got != want {
				t.Errorf("%s: %s, want %s", test.name, got, want)
			}
		}
	}
}
