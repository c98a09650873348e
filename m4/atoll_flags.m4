# The compiler flags of the project, chosen once, here. Each is kept only where the compiler knows it.

# ATOLL_APPEND_CFLAG(VARIABLE, FLAG): append FLAG to VARIABLE if a program compiles and links with it.
AC_DEFUN([ATOLL_APPEND_CFLAG], [
  AC_MSG_CHECKING([whether $CC takes $2])
  atoll_saved_CFLAGS="$CFLAGS"
  CFLAGS="$CFLAGS -Werror $2"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
    [AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
  CFLAGS="$atoll_saved_CFLAGS"
])

# WARNING_CFLAGS: for our own sources; generated code is compiled without them.
AC_DEFUN([ATOLL_WARNING_FLAGS], [
  WARNING_CFLAGS=
  m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes
      -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef
      -Wvla -Wimplicit-fallthrough -Wno-missing-field-initializers],
    [ATOLL_APPEND_CFLAG([WARNING_CFLAGS], m4_dquote(m4_defn([flag])))])
  AS_IF([test "x$enable_werror" = xyes], [WARNING_CFLAGS="$WARNING_CFLAGS -Werror"])
  AC_SUBST([WARNING_CFLAGS])
])

# HARDENING_CFLAGS, HARDENING_LDFLAGS: for everything that is installed. Under the sanitizers they would only
# blur the reports, so there the sanitizers stand in their place.
AC_DEFUN([ATOLL_HARDENING_FLAGS], [
  HARDENING_CFLAGS=
  HARDENING_LDFLAGS=
  AS_IF([test "x$enable_sanitizers" = xyes], [
    HARDENING_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
    HARDENING_LDFLAGS="-fsanitize=address,undefined"
  ], [
    m4_foreach_w([flag], [-fPIE -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero
        -fcf-protection=full -fno-strict-overflow -fno-delete-null-pointer-checks],
      [ATOLL_APPEND_CFLAG([HARDENING_CFLAGS], m4_dquote(m4_defn([flag])))])
    AS_IF([test "x$enable_fuzzing" != xyes],
      [ATOLL_APPEND_CFLAG([HARDENING_CFLAGS], [-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3])])
    m4_foreach_w([flag], [-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code -Wl,--as-needed],
      [ATOLL_APPEND_CFLAG([HARDENING_LDFLAGS], m4_dquote(m4_defn([flag])))])
  ])
  AS_IF([test "x$enable_fuzzing" = xyes], [
    HARDENING_CFLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -g -O1"
    HARDENING_LDFLAGS="-fsanitize=address,undefined"
  ])
  AC_SUBST([HARDENING_CFLAGS])
  AC_SUBST([HARDENING_LDFLAGS])
])

# GUEST_CFLAGS: for bare-metal guests, which have no C library, so that a loop may not become a call of memset.
AC_DEFUN([ATOLL_GUEST_FLAGS], [
  GUEST_CFLAGS="-O2 -ffreestanding -fno-builtin -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only"
  GUEST_CFLAGS="$GUEST_CFLAGS -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables"
  GUEST_CFLAGS="$GUEST_CFLAGS -fno-delete-null-pointer-checks -U_FORTIFY_SOURCE"
  ATOLL_APPEND_CFLAG([GUEST_CFLAGS], [-fno-tree-loop-distribute-patterns])
  AC_SUBST([GUEST_CFLAGS])
])
