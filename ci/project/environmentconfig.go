package project

// environmentConfig is one value of environments. config.go says what the tags mean.
type environmentConfig struct {
	Driver   string      `yaml:"driver" rule:"driver" doc:"host: machines with systemd, over SSH. command: commands of yours do it. Left out: host."`
	App      string      `yaml:"app" rule:"name" doc:"Which app. Left out: the only one."`
	Hosts    []string    `yaml:"hosts" rule:"noNUL" need:"yes" some:"yes" doc:"The machines, as ssh://user@host:port or local; with driver command, any names."`
	Strategy string      `yaml:"strategy" rule:"strategy" doc:"Left out: blue-green, or restart for an app without a service."`
	Batch    int         `yaml:"batch" rule:"several" doc:"How many machines rolling and restart switch at once. Left out: 1."`
	Weights  []int       `yaml:"weights" rule:"weight" some:"yes" doc:"The shares of canary, in percent, rising. Left out: 10, 50."`
	Gates    gatesConfig `yaml:"gates" doc:"What must hold for a release to go on."`
	Bake     string      `yaml:"bake" rule:"time" doc:"How long everything is watched before the commit. Left out: 5m."`
	Interval string      `yaml:"interval" rule:"time" doc:"How long each batch or weight before the last is watched. Left out: 30s."`

	Proxy  *proxyConfig `yaml:"proxy" doc:"Slipway's proxy before the instances. Left out: one on port 80, unless switch is there."`
	Switch []string     `yaml:"switch" rule:"noNUL" some:"yes" doc:"A command on the machine that moves traffic, for a load balancer of your own. It gets SLIPWAY_SPLIT and SLIPWAY_PORTS."`
	Ports  *portsConfig `yaml:"ports" doc:"Where the two instances listen, on 127.0.0.1. Left out: two ports that the names decide."`

	Env             map[string]string `yaml:"env" rule:"noNUL" keys:"environmentVariable" doc:"Environment variables. They win over envFile, and -e wins over them."`
	EnvFile         string            `yaml:"envFile" rule:"place" doc:"File of NAME=value lines."`
	Secrets         map[string]string `yaml:"secrets" rule:"secret" keys:"credential" doc:"Where secrets are: env://NAME, file://PATH or cmd://COMMAND. The program finds each as a file in $CREDENTIALS_DIRECTORY."`
	SecretVariables []string          `yaml:"secretVariables" rule:"environmentVariable" doc:"Those of secrets that are environment variables too."`

	Arguments []string          `yaml:"arguments" rule:"noNUL" doc:"What the program is called with."`
	Files     map[string]string `yaml:"files" rule:"place" keys:"place" doc:"Files that travel with the release: where they are in its directory, and where they are here."`
	Hooks     hooksConfig       `yaml:"hooks" doc:"Commands that run once in a rollout, on the first machine, from the new release and with its environment."`
	Notify    []notifyConfig    `yaml:"notify" doc:"Who is told how a rollout ended."`

	Limits   limitsConfig `yaml:"limits" doc:"What an instance may use."`
	Relax    []string     `yaml:"relax" rule:"relax" doc:"What is taken from the hardening of its unit."`
	State    bool         `yaml:"state" doc:"It keeps data in $STATE_DIRECTORY, which all its releases share."`
	Writable []string     `yaml:"writable" rule:"onHost" doc:"Further paths that it may write to."`
	Drain    string       `yaml:"drain" rule:"time" doc:"How long requests in flight are waited for. Left out: 30s."`
	Keep     int          `yaml:"keep" rule:"several" doc:"How many releases a machine keeps beside those in use. Left out: 5."`
	LogFile  string       `yaml:"logFile" rule:"onHost" doc:"File that the output goes to, in the place of journald. Its directory must be there."`
	Filebeat string       `yaml:"filebeat" rule:"onHost" doc:"Directory on the machine from which Filebeat reads its inputs, such as /etc/filebeat/inputs.d. Each release puts one there for the service's log. Left out: none."`

	Commands *commandsConfig `yaml:"commands" doc:"With driver command: what is run here for each verb."`
}

type gatesConfig struct {
	Times     int              `yaml:"times" rule:"several" doc:"Healthy answers in a row before any traffic, and unhealthy ones that are too many after it. Left out: 3."`
	Deadline  string           `yaml:"deadline" rule:"time" doc:"Time for a gate to know. Left out: 1m."`
	ErrorRate float64          `yaml:"errorRate" rule:"percent" doc:"Highest share of failed requests, in percent. Left out: 1."`
	P99       string           `yaml:"p99" rule:"time" doc:"What 99 of 100 requests may take. Left out: 500ms."`
	Memory    float64          `yaml:"memory" rule:"percent" doc:"Highest share of limits.memory, in percent. Left out: 85."`
	Restarts  int              `yaml:"restarts" rule:"several" doc:"How many restarts are too many. Left out: 1."`
	Requests  int              `yaml:"requests" rule:"many" doc:"Fewer requests say nothing. Left out: 1."`
	Every     string           `yaml:"every" rule:"time" doc:"How often to look. Left out: 1s."`
	NoTraffic string           `yaml:"noTraffic" rule:"noTraffic" doc:"What fewer requests come to: fail, or pass-on-health, when it is healthy all the time. Left out: fail."`
	Synthetic *syntheticConfig `yaml:"synthetic" doc:"Requests that a watch sends to each instance by itself."`
}

type syntheticConfig struct {
	Path string  `yaml:"path" rule:"health" need:"yes" doc:"Path that is asked."`
	Rate float64 `yaml:"rate" rule:"rate" doc:"Requests a second. Left out: 1."`
}

type proxyConfig struct {
	Listen    string   `yaml:"listen" rule:"listen" doc:"Address for HTTP. Left out: :80."`
	ListenTLS string   `yaml:"listenTLS" rule:"listen" doc:"Address for HTTPS. Left out: :443."`
	Domains   []string `yaml:"domains" rule:"domain" doc:"Names that it answers for. Left out: all."`
	TLS       string   `yaml:"tls" rule:"tls" doc:"off, auto (certificates by ACME) or files. Left out: off."`
	Cert      string   `yaml:"cert" rule:"onHost" doc:"With tls: files, the certificates on the machine."`
	Key       string   `yaml:"key" rule:"onHost" doc:"With tls: files, their key."`
}

type portsConfig struct {
	Blue  int `yaml:"blue" rule:"port" need:"yes" doc:"Port of the blue instance."`
	Green int `yaml:"green" rule:"port" doc:"Port of the green one. A service with strategy restart has none."`
}

type hooksConfig struct {
	Before    []string `yaml:"before" rule:"noNUL" some:"yes" doc:"Before anything is started: migrations. Its failure ends the rollout."`
	After     []string `yaml:"after" rule:"noNUL" some:"yes" doc:"After the commit."`
	OnFailure []string `yaml:"onFailure" rule:"noNUL" some:"yes" doc:"After everything went back."`
	Timeout   string   `yaml:"timeout" rule:"time" doc:"Time that each may take. Left out: 10m."`
}

type notifyConfig struct {
	Slack   string `yaml:"slack" rule:"secret" doc:"Where the address of a Slack-compatible webhook is."`
	Webhook string `yaml:"webhook" rule:"secret" doc:"Where the address of a webhook is that takes the outcome as JSON."`
}

type limitsConfig struct {
	Memory string `yaml:"memory" rule:"bytes" doc:"Such as 256MiB. What uses more is killed."`
	CPU    int    `yaml:"cpu" rule:"many" doc:"Percent of one processor: 150 is one and a half."`
	Tasks  int    `yaml:"tasks" rule:"many" doc:"Processes and threads."`
	Files  int    `yaml:"files" rule:"many" doc:"Open files and connections."`
}

type commandsConfig struct {
	Observe []string `yaml:"observe" rule:"noNUL" some:"yes" need:"yes" doc:"Prints the state of the target as JSON."`
	Start   []string `yaml:"start" rule:"noNUL" some:"yes" need:"yes" doc:"Runs the release in a slot, without traffic."`
	Shift   []string `yaml:"shift" rule:"noNUL" some:"yes" doc:"Moves traffic. Strategy restart has no use for it."`
	Stop    []string `yaml:"stop" rule:"noNUL" some:"yes" need:"yes" doc:"Ends an instance."`
	Prune   []string `yaml:"prune" rule:"noNUL" some:"yes" doc:"Is told of a commit. Left out: nothing is done."`
	Probe   []string `yaml:"probe" rule:"noNUL" some:"yes" need:"yes" doc:"Prints what is seen of an instance as JSON."`
	Hook    []string `yaml:"hook" rule:"noNUL" some:"yes" doc:"Runs a hook. Needed where there are hooks."`
	Logs    []string `yaml:"logs" rule:"noNUL" some:"yes" doc:"Prints the log."`
	Lock    []string `yaml:"lock" rule:"noNUL" some:"yes" doc:"Takes, renews and returns a lock that others see too. Left out: the lock is of this machine alone."`
}
