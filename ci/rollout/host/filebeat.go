package host

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// What an input for Filebeat looks like: external configuration is a list of inputs. Matches of one field are alternatives.
// service.name and service.environment are fields of the Elastic Common Schema, so they belong to the event's root.
const (
	filebeatHead    = "%s changes are overwritten\n- type: %s\n  id: %s\n"
	filebeatJournal = "  include_matches.match:\n    - %s\n    - %s\n"
	filebeatFile    = "  paths:\n    - %s\n"
	filebeatFields  = "  fields_under_root: true\n  fields:\n    service:\n      name: %s\n      environment: %s\n"
)

// filebeat is the input of this service, nil where there is none. It is the same on all hosts and for all releases that log to
// the same place, so that Filebeat goes on where it was.
func (s Spec) filebeat() *protocol.Filebeat {
	if s.Filebeat == nil {
		return nil
	}
	kind, source := "journald", fmt.Sprintf(filebeatJournal, s.journalOf(rollout.Blue), s.journalOf(rollout.Green))
	if s.LogFile != "" {
		kind, source = "filestream", fmt.Sprintf(filebeatFile, strconv.Quote(s.LogFile))
	}
	// Filebeat knows by the id how far it has read. Another one would have it read everything again.
	head := fmt.Sprintf(filebeatHead, protocol.FilebeatMark(s.Service), kind, strconv.Quote("slipway-"+s.Service))
	fields := fmt.Sprintf(filebeatFields, strconv.Quote(s.Service), strconv.Quote(s.Filebeat.Environment))
	return &protocol.Filebeat{Dir: path.Clean(s.Filebeat.Dir), Input: head + source + fields}
}

// journalOf matches what an instance logs. Both are named also where there is one, as strategies change.
func (s Spec) journalOf(slot string) string {
	return strconv.Quote("_SYSTEMD_UNIT=" + s.Service + "-" + slot + ".service")
}

// checkFilebeat looks at the directory. That the log's path is no pattern to Filebeat is seen to by ci/systemd, which allows less.
func (s Spec) checkFilebeat() []error {
	if s.Filebeat == nil || path.IsAbs(s.Filebeat.Dir) && !strings.ContainsRune(s.Filebeat.Dir, 0) {
		return nil
	}
	return []error{fmt.Errorf("filebeat %q: it is an absolute path on the hosts, such as /etc/filebeat/inputs.d", s.Filebeat.Dir)}
}
