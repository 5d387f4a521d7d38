# Run by cpack when the files are in their places and before they are packed: what only Debian wants.

set(root "${CPACK_TEMPORARY_INSTALL_DIRECTORY}")
set(source "${CMAKE_CURRENT_LIST_DIR}")
set(documents "${root}/usr/share/doc/dualbus")

function(put file destination)
  file(COPY "${source}/${file}" DESTINATION "${root}/${destination}" FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  if(ARGN)
    file(RENAME "${root}/${destination}/${file}" "${root}/${destination}/${ARGN}")
  endif()
endfunction()
put(copyright usr/share/doc/dualbus)
put(README.Debian usr/share/doc/dualbus)
put(sysusers.conf usr/lib/sysusers.d dualbus.conf)
put(lintian-overrides usr/share/lintian/overrides dualbus)

# SOURCE_DATE_EPOCH, if it is set, makes the package the same each time.
string(TIMESTAMP day "%w" UTC)
string(TIMESTAMP date "%d %b %Y %H:%M:%S +0000" UTC)
set(days Sun Mon Tue Wed Thu Fri Sat)
list(GET days ${day} day)
file(WRITE "${documents}/changelog" "dualbus (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * Built from the sources: CHANGELOG.md says what is new.

 -- ${CPACK_PACKAGE_CONTACT}  ${day}, ${date}
")

file(GLOB pages "${root}/usr/share/man/man*/*")
foreach(page ${pages} "${documents}/changelog")
  execute_process(COMMAND gzip -9 -n -f "${page}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
