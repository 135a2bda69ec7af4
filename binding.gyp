{
  # Only Node-API and libuv's stable part are used, so one build serves every Node from 20 on.
  "targets": [
    {
      "target_name": "manyhands",
      "sources": ["<!@(ls native/*.c)"],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags": ["-Wall", "-Wextra", "-fvisibility=hidden", "-pthread"],
      "cflags_c": ["-std=c11", "-O2"],
      # The janitor calls the C library when what the linker would need to find it is gone: see native/janitor.c.
      "ldflags": ["-pthread", "-Wl,-z,now"],
      "conditions": [
        # A compiler newer than ours may warn of more; that must not stop a user who builds from source.
        ["\"<!(echo ${CI:-})\" != \"\"", { "cflags": ["-Werror"] }]
      ]
    }
  ]
}
