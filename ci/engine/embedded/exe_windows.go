package embedded

const exeSuffix = ".exe"
